from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.imagegen.engine import run
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline


def test_both_draw_the_same_images_and_their_ratio_is_reported(tmp_path: Path) -> None:
    folder = tiny_pipeline(tmp_path / "tiny")
    result = run(str(folder), images="5", steps="5", repeats="2", rows="8")
    assert result["greatest_difference_grey_levels"] < 0.6, "half a grey level is rounding"
    ratio, rates = result["ratio"], result["images_per_second"]
    assert ratio["low"] <= ratio["median"] <= ratio["high"]
    assert rates["engine"]["low"] > 0
    assert ratio["low"] <= rates["engine"]["high"] / rates["serial"]["low"] + 1e-9
    assert (result["images"], result["size"], len(result["alone"])) == (5, [32, 32], 2)
    assert all(0 < one["preview_share"] < 1 for one in result["alone"])
    assert set(result["headline"]) == {"engine", "serial diffusers", "ratio", "first partial picture"}


@pytest.mark.parametrize("words", [{"images": "0"}, {"steps": "many"}, {"repeats": "-1"}])
def test_a_figure_that_is_none_is_refused(tmp_path: Path, words: dict[str, str]) -> None:
    folder = tiny_pipeline(tmp_path / "tiny")
    with pytest.raises(InputError, match="wanted a whole number above 0") as caught:
        run(str(folder), **words)
    assert caught.value.code == "option"
