from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.data.colours import HUES, main_hue, name_of, recoloured

RED, BLUE, GREY, WHITE = (220, 30, 30), (30, 60, 220), (120, 120, 120), (255, 255, 255)


def picture(*parts: tuple[int, int, int]) -> np.ndarray:
    """Equal stripes of colours, the last one white."""
    return np.repeat(np.array([[*parts, WHITE]], dtype=np.uint8), 6, axis=1).repeat(8, axis=0)


def test_the_main_hue_is_that_of_most_of_the_object() -> None:
    assert main_hue(picture(RED)) == pytest.approx(0.0, abs=1.0)
    assert main_hue(picture(BLUE)) == pytest.approx(230.5, abs=1.0)


@pytest.mark.parametrize("parts", [(RED, BLUE), (GREY, GREY, RED), (WHITE,)])
def test_several_colours_or_hardly_any_have_no_main_hue(parts: tuple[tuple[int, int, int], ...]) -> None:
    assert main_hue(picture(*parts)) is None


def test_hues_near_the_end_of_the_circle_have_a_name() -> None:
    assert [name_of(hue) for hue in (1.0, 359.0, 212.0, 50.0)] == ["red", "red", "blue", "yellow"]
    assert [name_of(hue) for hue in HUES.values()] == list(HUES)


def test_a_turned_picture_has_the_new_hue_and_keeps_white_and_grey() -> None:
    turned = recoloured(picture(RED, GREY), HUES["blue"])
    assert main_hue(turned[:, :6]) == pytest.approx(HUES["blue"], abs=1.0)
    assert (turned[:, 6:] == picture(RED, GREY)[:, 6:]).all()


def test_a_whole_turn_changes_nothing() -> None:
    before = picture(RED, BLUE, GREY)
    assert np.abs(recoloured(before, 360.0).astype(int) - before).max() <= 1
