from __future__ import annotations

import pytest

from benchmarks.serving import batching
from benchmarks.serving.batching import run

pytestmark = pytest.mark.slow


def test_both_ways_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_TURNS", 1)
    monkeypatch.setattr(batching, "_WARM_S", 0.1)
    result = run(clients="3", seconds="1", width="16", layers="2", runtime="torchscript")
    (alone,), (batched,) = result["requests_per_second"].values()
    assert alone > 5
    assert batched > 5
    assert list(result["headline"]) == ["3 clients, with batching"]
