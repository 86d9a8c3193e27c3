"""A contact sheet: many pictures on white paper, each with its caption below.

Legend: H rows, W columns, C red, green, blue.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from apps.imagegen.report.lettering import INK, SOFT, font_for, lines_of

CELL = 192  # width and height that a picture is fitted into, pixels
_MARGIN, _GAP = 56, 32
_TITLE, _CAPTION, _NOTE = 28, 15, 12
_LEADING = 1.35
_LINES = 3
_EDGE = "#e6eaec"
_COLUMNS = 8


@dataclass(frozen=True)
class _Text:
    """Lines in one font and colour."""

    lines: list[str]
    font: ImageFont.FreeTypeFont
    colour: str

    @property
    def height(self) -> int:
        return round(len(self.lines) * self.font.size * _LEADING)


def sheet_png(
    rgbs: Sequence[np.ndarray], captions: Sequence[str], columns: int | None = None, *, title: str = ""
) -> bytes:
    """Return pictures with their captions as one PNG; the same input gives the same bytes.

    rgbs: (H, W, C) uint8 each, of any size. captions: what follows a line end is set small and grey. columns: None
    chooses a shape that fits a screen. Raises ValueError without pictures, or where captions are more or fewer.
    """
    if not rgbs or len(rgbs) != len(captions):
        raise ValueError(f"{len(rgbs)} pictures and {len(captions)} captions; as many of each are wanted")
    columns = min(columns or columns_for(len(rgbs)), len(rgbs))
    cells = [_fitted(rgb_HWC) for rgb_HWC in rgbs]
    texts = [_caption(caption) for caption in captions]
    rows = [range(first, min(first + columns, len(cells))) for first in range(0, len(cells), columns)]
    tall = [max(cells[index].height for index in row) for row in rows]
    under = [max(sum(text.height for text in texts[index]) for index in row) for row in rows]
    width = 2 * _MARGIN + columns * CELL + (columns - 1) * _GAP
    head = _head(title, width - 2 * _MARGIN)
    top = _MARGIN + (head.height + _GAP if head.lines else 0)
    height = top + sum(tall) + sum(under) + len(rows) * _CAPTION + (len(rows) - 1) * _GAP + _MARGIN
    paper = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(paper)
    _write(draw, [head], _MARGIN, _MARGIN)
    for row, tallest, text in zip(rows, tall, under, strict=True):
        for column, index in enumerate(row):
            left = _MARGIN + column * (CELL + _GAP)
            cell = cells[index]
            corner = (left + (CELL - cell.width) // 2, top + tallest - cell.height)
            paper.paste(cell, corner)
            draw.rectangle(
                (corner[0] - 1, corner[1] - 1, corner[0] + cell.width, corner[1] + cell.height), outline=_EDGE
            )
            _write(draw, texts[index], left, top + tallest + _CAPTION, centre=CELL)
        top += tallest + text + _CAPTION + _GAP
    stream = io.BytesIO()
    paper.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def columns_for(count: int) -> int:
    """Return how many pictures to put side by side: about as wide as a screen, and the last row as full as can be."""
    if count <= 5:
        return max(count, 1)
    wide = [columns for columns in range(4, _COLUMNS + 1) if columns * columns >= count] or [_COLUMNS]
    return min(wide, key=lambda columns: (-count % columns, columns))


def _fitted(rgb_HWC: np.ndarray) -> Image.Image:
    picture = Image.fromarray(rgb_HWC)
    factor = CELL / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _caption(caption: str) -> list[_Text]:
    text, _, note = caption.partition("\n")
    font, small = font_for(text, _CAPTION), font_for(note, _NOTE)
    return [
        _Text(lines_of(text, font, CELL, _LINES), font, INK),
        _Text(lines_of(note, small, CELL, _LINES), small, SOFT),
    ]


def _head(title: str, width: int) -> _Text:
    font = font_for(title, _TITLE, bold=True)
    return _Text(lines_of(title, font, width, 2), font, INK)


def _write(draw: ImageDraw.ImageDraw, texts: Sequence[_Text], left: int, top: int, centre: int = 0) -> None:
    """Write lines below each other, flush left, or in the middle of `centre` pixels."""
    y = float(top)
    for text in texts:
        for line in text.lines:
            x = left + (centre - text.font.getlength(line)) / 2 if centre else left
            draw.text((round(x), round(y)), line, fill=text.colour, font=text.font)
            y += text.font.size * _LEADING
