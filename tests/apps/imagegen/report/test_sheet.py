"""The sheet shows each picture in its place, whole, with room for captions of any kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from apps.imagegen.report.sheet import CELL, columns_for, sheet_png

COLOURS = ((200, 0, 0), (0, 150, 0), (0, 0, 220))


def _plain(colour: tuple[int, int, int], width: int = 32, height: int = 32) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def _read(data: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"))


def _box(sheet_HWC: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what has the colour."""
    row, column = np.nonzero((sheet_HWC == colour).all(axis=2))
    return int(column.min()), int(row.min()), int(np.ptp(column)) + 1, int(np.ptp(row)) + 1


def test_pictures_stand_in_rows_in_their_order() -> None:
    sheet = _read(sheet_png([_plain(one) for one in COLOURS], ["a", "b", "c"], 2))
    boxes = [_box(sheet, colour) for colour in COLOURS]
    assert [box[2:] for box in boxes] == [(CELL, CELL)] * 3
    assert boxes[0][1] == boxes[1][1] < boxes[2][1]
    assert boxes[0][0] == boxes[2][0] < boxes[1][0]
    assert (sheet[:40] == 255).all()
    assert (sheet[:, :40] == 255).all()
    assert (sheet[-40:] == 255).all()


def test_other_shapes_keep_their_shape_and_stand_on_one_line() -> None:
    sheet = _read(sheet_png([_plain(COLOURS[0], 64, 32), _plain(COLOURS[1], 300, 900)], ["", ""], 2))
    wide, tall = (_box(sheet, colour) for colour in COLOURS[:2])
    assert wide[2:] == (CELL, CELL // 2)
    assert tall[2:] == (CELL // 3, CELL)
    assert wide[1] + wide[3] == tall[1] + tall[3]


def test_a_picture_of_one_row_of_pixels_is_no_trouble() -> None:
    assert _read(sheet_png([_plain(COLOURS[0], 2000, 1)], ["x"])).shape[1] > CELL


def test_captions_and_a_title_make_room() -> None:
    rgb = _plain(COLOURS[0])
    heights = [
        _read(sheet_png([rgb], [caption], title=title)).shape[0]
        for caption, title in (
            ("", ""),
            ("one", ""),
            ("one\nseed 7", ""),
            ("one " * 40, ""),
            ("one", "Title"),
        )
    ]
    assert heights[0] < heights[1] < heights[2] < heights[3]
    assert heights[1] < heights[4]
    sheet = _read(sheet_png([rgb], ["one\nseed 7"]))
    below = sheet[_box(sheet, COLOURS[0])[1] + CELL + 4 :]
    assert (below < 100).any(), "black letters below the picture"
    assert np.abs(np.flatnonzero((below < 200).any(axis=(0, 2))).mean() - sheet.shape[1] / 2) < 8, (
        "in the middle"
    )


@pytest.mark.parametrize(
    "caption",
    ["红苹果", "🍎👩\u200d🚀", "مرحبا", "\ud800 half", "\x00\x1b[2J", "a\n\nb\nc", "W" * 500, "​\u202e"],
)
def test_any_caption_can_be_set(caption: str) -> None:
    assert _box(_read(sheet_png([_plain(COLOURS[0])], [caption])), COLOURS[0])[2:] == (CELL, CELL)


def test_the_same_input_gives_the_same_bytes() -> None:
    rgbs = [_plain(one) for one in COLOURS]
    first = sheet_png(rgbs, ["a", "b", "c"], title="T")
    assert sheet_png(rgbs, ["a", "b", "c"], title="T") == first
    assert sheet_png(rgbs, ["a", "b", "d"], title="T") != first


@pytest.mark.parametrize(
    ("count", "columns"),
    [(1, 1), (3, 3), (5, 5), (6, 6), (8, 4), (12, 4), (16, 4), (25, 5), (32, 8), (100, 8)],
)
def test_a_sheet_is_about_as_wide_as_a_screen(count: int, columns: int) -> None:
    assert columns_for(count) == columns


def test_pictures_without_captions_are_a_fault() -> None:
    with pytest.raises(ValueError, match="1 pictures and 2 captions; as many of each are wanted"):
        sheet_png([_plain(COLOURS[0])], ["a", "b"])
    with pytest.raises(ValueError, match="0 pictures"):
        sheet_png([], [])
