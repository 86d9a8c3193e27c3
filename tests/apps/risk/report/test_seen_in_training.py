"""A model that is judged on days of its training is told of, once; one that is not, and one of old, are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.risk.report.seen_in_training import warn_of_seen
from core.runs.log import RunLog


@pytest.mark.parametrize(
    ("part", "first", "warned"),
    [
        ({"until": "2024-03-20"}, "2024-03-20T00:00:00", True),
        ({"until": "2024-03-20"}, "2024-03-21T12:00:00", False),
        ({}, "2024-01-01", False),
        (None, "2024-01-01", False),
    ],
)
def test_a_warning_is_of_days_that_were_seen(
    part: dict[str, Any] | None,
    first: str,
    warned: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        warn_of_seen({"targets": part}, "targets", np.datetime64(first, "us"), log)
    told = capsys.readouterr().err
    assert told.count("\n") == int(warned)
    if warned:
        assert "trained on data until 2024-03-20 and are judged on days from 2024-03-20 on" in told
    assert ("seen_in_training" in (tmp_path / "log.jsonl").read_text()) is warned
