"""Heat lies where the map has it, in the row of its word; the rest is paper."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from apps.imagegen.report.attention_picture import CELL, attention_png, scaled, steps_shown

WHITE = np.full((32, 32, 3), 255, np.uint8)


def _read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def _redness(sheet_HWC: np.ndarray) -> np.ndarray:
    return (sheet_HWC[:, :, 0] - sheet_HWC[:, :, 2]).clip(0, None)


def test_heat_lies_where_the_map_has_it() -> None:
    """Two words, one looked for at the top left and one at the bottom right, in each of three steps."""
    map_SWhw = np.zeros((3, 2, 4, 4), np.float32)
    map_SWhw[:, 0, 0, 0] = 0.2
    map_SWhw[:, 1, 3, 3] = 0.01
    red_HW = _redness(_read(attention_png(WHITE, "", ["one", "two"], map_SWhw)))
    rows, columns = np.nonzero(red_HW > 100)
    left = columns.min()
    step = CELL + 12
    positions = {
        (int(r - rows.min()) // step, int(c - left) // step) for r, c in zip(rows, columns, strict=True)
    }
    assert {row for row, _ in positions} == {0, 1}
    upper, lower = rows < rows.min() + CELL // 2, rows > rows.max() - CELL // 2
    assert (upper | lower).all()
    inside = (columns[upper] - left) % step
    assert (inside[columns[upper] < left + step] < CELL // 2).all(), (
        "the first word's heat is at the left of its cells"
    )
    assert columns[lower].min() > left + CELL // 2, "the second one's at the right"


def test_steps_compare_with_each_other() -> None:
    map_SWhw = np.zeros((2, 1, 2, 2), np.float32)
    map_SWhw[0] = 0.1
    map_SWhw[1] = 0.3
    map_SWhw[1, 0, 0, 0] = 0.0
    one, two = scaled(map_SWhw[:, 0])
    assert np.allclose(one, 1 / 3)
    assert np.allclose(two, [[0, 1], [1, 1]])
    assert not scaled(np.full((3, 2, 2), 0.25, np.float32)).any(), "equal everywhere says nothing"


@pytest.mark.parametrize(("steps", "shown"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (25, [0, 8, 16, 24])])
def test_the_first_and_the_last_step_have_a_column(steps: int, shown: list[int]) -> None:
    assert steps_shown(steps) == shown


def test_other_shapes_and_many_words_have_room() -> None:
    map_SWhw = np.random.default_rng(0).random((5, 7, 4, 8)).astype(np.float32)
    words = ["red", "红苹果", "🍎", "incomprehensibilities", "\u202e", "W" * 99, "a"]
    wide = _read(attention_png(WHITE[:16], "a long prompt " * 90, words, map_SWhw))
    tall = _read(attention_png(WHITE[:, :16], "a", words, map_SWhw))
    for sheet in (wide, tall):
        assert (sheet[:40] == 255).all()
        assert (sheet[-40:] == 255).all()
        assert (sheet[:, -40:] == 255).all()
    assert wide.shape[0] > 7 * CELL // 2
    assert tall.shape[0] > 7 * CELL


def test_the_same_input_gives_the_same_bytes() -> None:
    map_SWhw = np.random.default_rng(0).random((2, 1, 4, 4)).astype(np.float32)
    assert attention_png(WHITE, "a", ["a"], map_SWhw) == attention_png(WHITE, "a", ["a"], map_SWhw.copy())


def test_maps_without_words_are_a_fault() -> None:
    with pytest.raises(ValueError, match=r"1 words and maps of shape \(3, 2, 4, 4\)"):
        attention_png(WHITE, "a", ["a"], np.zeros((3, 2, 4, 4)))
    with pytest.raises(ValueError, match="0 words"):
        attention_png(WHITE, "a", [], np.zeros((3, 0, 4, 4)))
