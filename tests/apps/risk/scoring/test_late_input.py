"""Late input: a scheduled scoring waits for it, pauses between tries, and fails at its deadline with the reason."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

import apps.risk.scoring.late_input as module
from apps.risk.reasons import AWAITED, InputAwaited
from apps.risk.scoring.late_input import when_input_is_there
from core.errors import InputError
from core.runs.folder import Run

DUE = "2024-03-29T06:00:00+01:00"


class Clock:
    """A clock that only pauses move."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now = datetime.datetime.fromisoformat(DUE) + datetime.timedelta(seconds=late_s)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += datetime.timedelta(seconds=seconds)

    def __call__(self) -> datetime.datetime:
        return self.now


class Work:
    """Fails some times, then gives 7."""

    def __init__(self, failures: int, error: type[InputError] = InputAwaited) -> None:
        self.failures, self.error, self.tries = failures, error, 0

    def __call__(self) -> int:
        self.tries += 1
        if self.tries <= self.failures:
            raise self.error("data_too_old", "the newest value is 9 days old")
        return 7


def _wait(
    work: Work, clock: Clock, folder: Path, monkeypatch: pytest.MonkeyPatch, wait_h: float = 0.05
) -> int:
    monkeypatch.setattr(module, "pause", clock.pause)
    record = Run(folder)
    with record.log:
        return when_input_is_there(work, DUE, wait_h, record.log, clock)


def test_input_that_comes_late_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, clock = Work(2), Clock()
    assert _wait(work, clock, tmp_path, monkeypatch) == 7
    assert clock.pauses == [60.0, 60.0]
    assert '"input_awaited"' in (tmp_path / "log.jsonl").read_text()


def test_at_the_deadline_it_fails_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, clock = Work(99), Clock(late_s=30)
    why = r"is 9 days old\. The scoring due at .* until 2024-03-29T06:03\+01:00"
    with pytest.raises(InputError, match=why) as caught:
        _wait(work, clock, tmp_path, monkeypatch)
    assert caught.value.code == "input_late"
    assert (work.tries, clock.pauses) == (4, [60.0, 60.0, pytest.approx(30.0, abs=1.0)])


@pytest.mark.parametrize("late_s", [181.0, 5e6])
def test_a_due_time_long_past_is_tried_once(
    late_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(late_s)
    assert _wait(Work(0), clock, tmp_path / "a", monkeypatch) == 7
    with pytest.raises(InputError, match="waits for its input until"):
        _wait(Work(1), clock, tmp_path / "b", monkeypatch)
    assert clock.pauses == []


def test_a_clock_set_back_does_not_lengthen_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="waits for its input until"):
        _wait(Work(9), Clock(late_s=-9000), tmp_path, monkeypatch, wait_h=0.0)


def test_other_faults_are_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, clock = Work(1, InputError), Clock()
    with pytest.raises(InputError) as caught:
        _wait(work, clock, tmp_path, monkeypatch)
    assert (caught.value.code, work.tries) == ("data_too_old", 1)


def test_input_that_may_still_come_is_awaited() -> None:
    """These codes are waited for: files, tables and databases that are not there, and data that are too old."""
    assert sorted(AWAITED.sentences) == [
        "data_too_old",
        "folder_empty",
        "header_missing",
        "sql_file",
        "sql_outage",
        "sql_schema_missing",
        "sql_table_missing",
        "sql_unreachable",
        "table_empty",
        "table_missing",
    ]
    assert issubclass(AWAITED.error, InputAwaited)
