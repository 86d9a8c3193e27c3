"""The measurement of the scoring service, small: whole and parts add up, and the answers are the same."""

from __future__ import annotations

import json

import pytest

from benchmarks.risk import serving
from core.errors import InputError


@pytest.mark.slow
def test_a_small_measurement_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WARM", 1)
    before = {part: getattr(module, name) for part, (module, name) in serving.PARTS.items()}
    record = serving.run("3")
    json.dumps(record, allow_nan=False)
    assert set(record["cases"]) == set(record["headline"]) == {"one client", "one series"}
    for cost in record["cases"].values():
        parts = cost["parts_milliseconds_p50"]
        assert set(serving.PARTS) < set(parts)
        assert sum(parts.values()) == pytest.approx(cost["milliseconds_p50"]["value"], abs=0.01)
        assert cost["same_answer_in_process"]
    assert {part: getattr(module, name) for part, (module, name) in serving.PARTS.items()} == before


def test_a_count_that_is_none_is_reported() -> None:
    with pytest.raises(InputError, match="wanted a whole number above 0"):
        serving.run("0")
