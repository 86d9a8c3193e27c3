from __future__ import annotations

import pytest

from benchmarks.jobs.overhead import TOGETHER, run

pytestmark = pytest.mark.slow


def test_what_a_job_costs_is_reported() -> None:
    result = run(number="20")
    for table in (result["submit_ms"], result["work_ms"]):
        assert set(table) == set(TOGETHER)
        assert all(value > 0 for value in table.values())
    assert len(result["headline"]) == len(TOGETHER) + 1
