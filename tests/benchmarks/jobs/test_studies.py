"""The short twin of a measurement: 3 deaths instead of 100."""

from __future__ import annotations

import pytest

from benchmarks.jobs.studies import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # dozens of starts, on a busy machine too


def test_studies_whose_worker_is_killed_have_the_bytes_of_an_undisturbed_run() -> None:
    result = run(studies="1", kills="3")
    assert (result["studies"], result["done"], result["deaths"]) == (1, 1, 3)
    assert result["files"] > 8
    assert (result["same_bytes"], result["files_beyond"]) == (result["files"], 0)
