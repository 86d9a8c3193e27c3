from __future__ import annotations

import pytest

from benchmarks.serving.overhead import run

pytestmark = pytest.mark.slow


def test_the_time_of_both_forms_is_reported() -> None:
    result = run(requests="3", inputs="16")
    assert [(row["inputs"], row["binary"]) for row in result["rows"]] == [(16, True), (16, False)]
    for row in result["rows"]:
        assert 0 < row["bare_ms"] < row["request_ms"] <= row["request_ms_95"]
        assert row["overhead_ms"] == row["request_ms"] - row["bare_ms"]
    assert set(result["headline"]) == {"16 numbers as bytes", "16 numbers as JSON"}
