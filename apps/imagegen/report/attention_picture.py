"""Attention to a picture's prompt: a row for each word, columns for steps and their mean, heat over the picture.

Legend: S steps, W words, h, w rows and columns of maps; H rows, W columns, C colours of a picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from apps.imagegen.report.lettering import INK, SOFT, font_for, lines_of

CELL = 144  # longer side of a cell, pixels
_MARGIN, _GAP, _BREAK = 48, 12, 28
_LABEL = 150
_COLUMNS = 4
_TITLE, _WORD, _HEAD = 20, 16, 12
_LEADING = 1.35
_PALE = 0.55  # how far the picture fades towards white below the heat
_STRENGTH = 0.9
_RAMP = "YlOrRd"


def attention_png(rgb_HWC: np.ndarray, prompt: str, words: Sequence[str], map_SWhw: np.ndarray) -> bytes:
    """Return the picture of a prompt's attention as PNG; the same input gives the same bytes.

    rgb_HWC: the finished picture, uint8. map_SWhw: share of attention by step and word, any unit: each row is scaled by
    itself, from its least to its greatest value, so that steps compare and words do not. Raises ValueError where maps
    and words are not as many, or there are none.
    """
    if not words or map_SWhw.shape[1] != len(words) or not len(map_SWhw):
        raise ValueError(
            f"{len(words)} words and maps of shape {map_SWhw.shape}: as many of each are wanted, and some"
        )
    steps = steps_shown(len(map_SWhw))
    heads = [*(f"step {step + 1}" for step in steps), "mean"]
    width, height = _size(rgb_HWC)
    font = font_for(prompt, _TITLE, bold=True)
    lefts = [_MARGIN + _LABEL + column * (width + _GAP) for column in range(len(steps))]
    lefts.append(lefts[-1] + width + _BREAK)
    right = lefts[-1] + width
    title = lines_of(prompt, font, right - _MARGIN, 2)
    top = _MARGIN + round(len(title) * _TITLE * _LEADING) + _GAP
    first = top + round(_HEAD * _LEADING) + _GAP
    bottom = first + len(words) * (height + _GAP) - _GAP
    paper = Image.new("RGB", (right + _MARGIN, bottom + _MARGIN), "white")
    draw = ImageDraw.Draw(paper)
    for line, text in enumerate(title):
        draw.text((_MARGIN, _MARGIN + round(line * _TITLE * _LEADING)), text, fill=INK, font=font)
    for left, head in zip(lefts, heads, strict=True):
        draw.text((left + width // 2, top), head, fill=SOFT, font=font_for(head, _HEAD), anchor="ma")
    under_HWC = _faded(rgb_HWC, (width, height))
    for row, word in enumerate(words):
        y = first + row * (height + _GAP)
        _label(draw, word, y + height // 2)
        map_Khw = np.stack([*(map_SWhw[step, row] for step in steps), map_SWhw[:, row].mean(axis=0)])
        for left, heat_hw in zip(lefts, scaled(map_Khw), strict=True):
            paper.paste(Image.fromarray(_heated(under_HWC, heat_hw)), (left, y))
    stream = io.BytesIO()
    paper.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def steps_shown(steps: int) -> list[int]:
    """Return which of the steps get a column: the first, the last, and some between them."""
    return sorted({round(step) for step in np.linspace(0, steps - 1, _COLUMNS)})


def scaled(map_Khw: np.ndarray) -> np.ndarray:
    """Return maps of one word scaled to 0 … 1 together; equal everywhere, they are 0."""
    low, high = float(map_Khw.min()), float(map_Khw.max())
    if high - low <= 1e-6 * max(abs(high), 1e-12):
        return np.zeros_like(map_Khw, dtype=np.float32)
    return ((map_Khw - low) / (high - low)).astype(np.float32)


def _size(rgb_HWC: np.ndarray) -> tuple[int, int]:
    height, width = rgb_HWC.shape[:2]
    factor = CELL / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _faded(rgb_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = Image.fromarray(rgb_HWC).convert("L").resize(size, Image.Resampling.LANCZOS)
    grey_HW = np.asarray(grey, dtype=np.float32)
    return np.repeat((grey_HW + _PALE * (255 - grey_HW))[:, :, None], 3, axis=2)


def _heated(under_HWC: np.ndarray, heat_hw: np.ndarray) -> np.ndarray:
    """Lay heat over a picture as ink on paper: what is below shows through."""
    size = (under_HWC.shape[1], under_HWC.shape[0])
    smooth = Image.fromarray(heat_hw).resize(size, Image.Resampling.BICUBIC)
    heat_HW = np.asarray(smooth, dtype=np.float32).clip(0, 1)
    ink_HWC = matplotlib.colormaps[_RAMP](heat_HW)[:, :, :3].astype(np.float32)
    alpha_HW1 = (_STRENGTH * heat_HW**0.7)[:, :, None]
    return (under_HWC * (1 - alpha_HW1 + alpha_HW1 * ink_HWC)).round().astype(np.uint8)


def _label(draw: ImageDraw.ImageDraw, word: str, middle: int) -> None:
    font = font_for(word, _WORD)
    lines = lines_of(word, font, _LABEL - 2 * _GAP, 3)
    y = middle - len(lines) * _WORD * _LEADING / 2
    for line in lines:
        draw.text((_MARGIN, round(y)), line, fill=INK, font=font)
        y += _WORD * _LEADING
