"""The short twin of a measurement: 3 deaths instead of 100."""

from __future__ import annotations

import pytest

from benchmarks.jobs.studies import run

pytestmark = pytest.mark.slow


def test_studies_whose_worker_is_killed_have_the_bytes_of_an_undisturbed_run() -> None:
    result = run(studies="2", kills="3")
    assert (result["studies"], result["done"], result["deaths"]) == (2, 2, 3)
    assert result["files"] > 10
    assert (result["same_bytes"], result["files_beyond"]) == (result["files"], 0)
