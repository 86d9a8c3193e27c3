"""States of texts that were drawn with lately, so that a prompt asked for again is not read again."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

from apps.imagegen.models.pipeline_folder import Pipeline

BYTES = 32 * 2**20  # one chunk takes 50 kB in the embedded model, 240 kB in Stable Diffusion 1.5


class TextStates:
    """Keeps the states of the newest texts, at most so many bytes of them. For one thread."""

    def __init__(self, pipeline: Pipeline, most_bytes: int = BYTES) -> None:
        self._pipeline, self._most = pipeline, most_bytes
        self._kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def states(self, text: str, chunks: int, weights: tuple[object, ...] = ()) -> Tensor:
        """Return a text's states, (1, chunks × T, D). weights: identifies the text encoder's present weights."""
        key = (text, chunks, *weights)
        if key not in self._kept:
            self._kept[key] = self._pipeline.states([text], chunks)
            while len(self._kept) > 1 and self.held() > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def held(self) -> int:
        """Return the bytes in memory."""
        return sum(one.nbytes for one in self._kept.values())
