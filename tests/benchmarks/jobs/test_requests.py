"""The short twin of a measurement: 3 deaths instead of 20."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.jobs.requests import run
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_requests_whose_service_is_killed_are_answered_each_with_its_bytes(tmp_path: Path) -> None:
    result = run(number="12", kills="3", steps="40", weights=str(tiny_pipeline(tmp_path / "tiny")))
    assert (result["answered"], result["same_bytes"], result["same_reply"]) == (12, 12, 12)
    assert (result["deaths"], result["answer_files"]) == (3, 12)
