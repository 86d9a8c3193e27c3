"""The short twin of a measurement: 3 deaths instead of 20. On PostgreSQL: tests/e2e/test_jobs.py."""

from __future__ import annotations

import pytest

from benchmarks.jobs.deaths import run

pytestmark = pytest.mark.slow


def test_jobs_whose_worker_is_killed_are_done_each_with_its_output() -> None:
    result = run(number="60", kills="3")
    assert (result["done"], result["right_results"], result["outputs"], result["deaths"]) == (60, 60, 60, 3)
    assert result["begun_again"] <= result["most_begun_again"] == 12
