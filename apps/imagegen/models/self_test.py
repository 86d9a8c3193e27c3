"""Proof, on the machine that draws, that an image's bytes do not depend on what shares its batch.

Kernels choose how to add up by the number of rows, and by that of threads: with two threads and more, batches of 4, 8
and 16 give a row the same bits, batches of 1 and 2 others; with one thread, PyTorch takes another convolution from 16
rows on (as measured for the embedded denoiser). So what holds here is measured, not assumed. The number of threads
must stay what it was when this was measured.
Legend: R rows of the greatest batch, L latent channels, h, w rows and columns of latents, T tokens, D of their states.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from apps.imagegen.models.batch import answer
from apps.imagegen.models.pipeline_folder import Pipeline

SIZES = (4, 8, 16)
_log = logging.getLogger(__name__)


class Proofs:
    """The batch sizes that hold for each size of picture on this machine, each proven once.

    sizes: of batches, that the model's own size is tried with. An adapter changes weights and no shapes: what holds
    without one holds with it.
    """

    def __init__(self, pipeline: Pipeline, sizes: Sequence[int]) -> None:
        self._pipeline = pipeline
        self._sizes = tuple(sizes)
        self._proven: dict[tuple[int, int], tuple[int, ...]] = {}

    def batches(self, picture: tuple[int, int]) -> tuple[int, ...]:
        """Return the batch sizes for pictures of (width, height) pixels; () where these must be drawn one by one.

        Other sizes than the model's own are tried with the batches that hold for that: it takes a third of the time.
        """
        own = self._pipeline.own_size
        if picture not in self._proven:
            sizes = self._sizes if picture == own else self.batches(own)
            self._proven[picture] = prove(self._pipeline, sizes, picture) if sizes else ()
            _log.info("%dx%d: batches of %s rows give equal bits", *picture, self._proven[picture] or "no")
        return self._proven[picture]


@torch.inference_mode()
def prove(
    pipeline: Pipeline, sizes: Sequence[int] = SIZES, picture: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """Return the most batch sizes that give each row equal bits, at any position and beside any others; ascending.

    sizes: even, ascending. picture: (width, height) in pixels, None: the model's own. Where no two agree, the greatest
    alone; () where a row's bits depend on its position or neighbours in any batch: images are then drawn one by one.
    """
    width, height = pipeline.own_size if picture is None else picture
    R = sizes[-1]
    generator = torch.Generator().manual_seed(0)
    states = pipeline.states(["", "red apple"])
    shape = (R, pipeline.latent_channels, height // pipeline.factor, width // pipeline.factor)
    input_RLhw = torch.randn(shape, generator=generator)
    time_R = torch.linspace(0.0, 999.0, R)
    state_RTD = states[torch.arange(R) % 2] + 0.1 * torch.randn((R, 1, 1), generator=generator)

    def rows(chosen: list[int]) -> Tensor:
        return answer(pipeline, input_RLhw[chosen], time_R[chosen], state_RTD[chosen])

    outputs: dict[int, Tensor] = {}
    for size in sizes:
        half = size // 2
        first_RLhw = rows(list(range(size)))
        moved = rows(
            [*reversed(range(half)), *reversed(range(R - half, R))]
        )  # half of them elsewhere, beside others
        if torch.equal(moved[:half].flip(0), first_RLhw[:half]):
            outputs[size] = first_RLhw
    return most_alike(outputs)


def most_alike(outputs: dict[int, Tensor]) -> tuple[int, ...]:
    """Return the largest group of batches whose common rows are equal, by size; of two such, the one of more rows."""
    groups: list[tuple[int, ...]] = []
    for size in sorted(outputs):
        for index, group in enumerate(groups):
            if torch.equal(outputs[group[0]], outputs[size][: group[0]]):
                groups[index] = (*group, size)
                break
        else:
            groups.append((size,))
    return max(groups, key=lambda group: (len(group), group[-1]), default=())
