"""The denoiser's cross-attention to each word of a prompt, step by step.

After DAAM (Tang et al. 2022, arXiv:2210.04885): the weights of all heads and layers, brought to one grid and averaged.
Legend: B rows of a batch, P positions, E their width, T tokens, W words, S steps, h, w rows and columns of latents.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from apps.imagegen.models.text import tokenized, window
from apps.imagegen.reasons import FAULT
from core.compute.hooks import Call, hooked

# A word may hold apostrophes and hyphens; where there is no letter at all (emoji), what stands between spaces counts.
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SPACED = re.compile(r"\S+")
_QUERY, _KEY = "to_q", "to_k"


@dataclass(frozen=True)
class Word:
    """A word as the prompt has it, and the positions of its pieces among the tokens."""

    text: str
    positions: tuple[int, ...]


def words_of(tokenizer: PreTrainedTokenizerBase, prompt: str, chunks: int = 1) -> tuple[Word, ...]:
    """Return the words that the text encoder gets to see in so many chunks, in their order.

    Tokens that start, end and fill up a chunk are not words.
    """
    tokens = tokenized(
        tokenizer, prompt, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    most, whole = window(tokenizer), int(tokenizer.model_max_length)
    pieces = [
        (whole * (number // most) + 1 + number % most, first, last)
        for number, (first, last) in enumerate(tokens["offset_mapping"][: most * chunks])
    ]
    words = []
    for match in list(_WORD.finditer(prompt)) or list(_SPACED.finditer(prompt)):
        inside = tuple(
            position for position, first, last in pieces if first < match.end() and last > match.start()
        )
        if inside:
            words.append(Word(match.group(), inside))
    return tuple(words)


class AttentionProbe:
    """Collects the maps of one picture while a denoiser works on it; changes nothing in what it computes.

    tokens: positions of each word's pieces. latent_hw: rows and columns of the picture's latents.
    """

    def __init__(self, words: Sequence[Word], latent_hw: tuple[int, int]) -> None:
        self.words = tuple(words)
        self._latent_hw = latent_hw
        self._steps: list[Tensor] = []

    @contextlib.contextmanager
    def watching(self, denoiser: nn.Module, row: int) -> Iterator[None]:
        """Collect one step: the denoiser is called once inside the block. row: the picture's conditional one of B.

        The outputs of the layers that make queries and keys are read, so whatever works on them (an adapter) counts. A
        step that fails leaves nothing. Raises InternalFault where the denoiser has no cross-attention.
        """
        crossing = {
            name: module
            for name, module in denoiser.named_modules()
            if isinstance(module, Attention) and module.is_cross_attention
        }
        halves: dict[str, dict[str, Tensor]] = {name: {} for name in crossing}
        maps: list[Tensor] = []

        def select(name: str, module: nn.Module) -> bool:  # noqa: ARG001
            owner, _, own = name.rpartition(".")
            return owner in crossing and own in (_QUERY, _KEY)

        def collect(call: Call, output_BPE: Tensor) -> None:
            owner, _, own = call.name.rpartition(".")
            pair = halves[owner]
            pair[own] = output_BPE[row].float()
            if len(pair) == 2:
                map_PT = attention_of(pair[_QUERY], pair[_KEY], crossing[owner].heads)
                maps.append(self._on_grid(map_PT))
                pair.clear()

        with hooked(denoiser, select, post=collect):
            yield
        if maps:
            self._steps.append(torch.stack(maps).mean(dim=0))

    def maps_SWhw(self) -> Tensor:
        """Return each step's share of attention that a word gets at each position; a word's pieces are added up.

        Raises InternalFault where no step was watched.
        """
        if not self._steps:
            raise FAULT("probe_unused")
        return torch.stack(self._steps)

    def _on_grid(self, map_PT: Tensor) -> Tensor:
        """Return (W, h, w): words instead of tokens, on the grid of the latents."""
        rows, columns = grid_of(len(map_PT), self._latent_hw)
        map_WP = torch.stack([map_PT[:, list(word.positions)].sum(dim=1) for word in self.words])
        map_1Whw = map_WP.reshape(1, len(self.words), rows, columns)
        return F.interpolate(map_1Whw, self._latent_hw, mode="bilinear", align_corners=False)[0]


def attention_of(query_PE: Tensor, key_TE: Tensor, heads: int) -> Tensor:
    """Return softmax(QK) averaged over heads, (P, T); each position's weights add up to 1 (Vaswani et al. 2017)."""
    query_HPe = query_PE.unflatten(1, (heads, -1)).transpose(0, 1)
    key_HTe = key_TE.unflatten(1, (heads, -1)).transpose(0, 1)
    score_HPT = query_HPe @ key_HTe.transpose(1, 2) * query_HPe.shape[-1] ** -0.5
    return score_HPT.softmax(dim=-1).mean(dim=0)


def grid_of(positions: int, latent_hw: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a layer that sees so many positions: the latents', halved upwards some times.

    Raises InternalFault where no halving gives that number.
    """
    rows, columns = latent_hw
    while rows * columns > positions and (rows, columns) != (1, 1):
        rows, columns = -(-rows // 2), -(-columns // 2)
    if rows * columns != positions:
        raise FAULT("probe_grid", positions=positions, rows=latent_hw[0], columns=latent_hw[1])
    return rows, columns
