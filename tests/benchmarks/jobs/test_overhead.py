from __future__ import annotations

import pytest

from benchmarks.jobs.overhead import TOGETHER, run

pytestmark = pytest.mark.slow


def test_what_a_job_costs_is_reported() -> None:
    result = run(number="20")
    assert set(result["submit_ms"]) == set(result["work_ms"]) == set(TOGETHER)
    assert all(value > 0 for value in result["submit_ms"].values())
    # by the database's clock, which a machine may set back meanwhile
    assert all(-1000 < value < 60_000 for value in result["work_ms"].values())
    assert len(result["headline"]) == len(TOGETHER) + 1
