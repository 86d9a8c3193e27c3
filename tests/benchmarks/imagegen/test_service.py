from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.imagegen.service import run
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline


def test_overhead_and_first_partial_picture_are_reported(tmp_path: Path) -> None:
    found = run(str(tiny_pipeline(tmp_path / "tiny")), requests="4", steps="20")
    overhead, share = found["overhead_ms"], found["first_partial_share"]
    assert 0 < overhead["low"] <= overhead["median"] <= overhead["high"]
    assert 0 < share["low"] <= share["median"] < 1
    assert (found["requests"], found["steps"], found["size"]) == (4, 20, [32, 32])
    assert set(found["headline"]) == {"overhead of a request", "first partial picture"}


@pytest.mark.parametrize("words", [{"requests": "0"}, {"steps": "many"}])
def test_a_figure_that_is_none_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="wanted a whole number above 0") as caught:
        run("", **words)
    assert caught.value.code == "option"
