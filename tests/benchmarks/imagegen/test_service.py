from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.imagegen.service import run
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline


def test_overhead_and_first_partial_picture_are_reported(tmp_path: Path) -> None:
    result = run(str(tiny_pipeline(tmp_path / "tiny")), requests="2", steps="8")
    overhead, share = result["overhead_ms"], result["first_partial_share"]
    assert 0 < overhead["low"] <= overhead["median"] <= overhead["high"]
    assert 0 < share["low"] <= share["median"] < 1
    assert (result["requests"], result["steps"], result["size"]) == (2, 8, [32, 32])
    assert set(result["headline"]) == {"overhead of a request", "first partial picture"}


@pytest.mark.parametrize("words", [{"requests": "0"}, {"steps": "many"}])
def test_a_figure_that_is_none_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="wanted a whole number above 0") as caught:
        run("", **words)
    assert caught.value.code == "option"
