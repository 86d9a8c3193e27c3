"""Attempts and stops, with a context in memory instead of a worker."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core.errors import InputError, InternalFault, ItemRefused
from core.jobs.context import LONGEST_PAUSE_S, JobStopped, check, log_event, pause, progress, run_tries
from core.jobs.reasons import DATABASE_AWAY

CHANCE = random.Random(4)


class Memory:
    """A context that remembers its calls."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notes: list[tuple[str, int]] = []
        self.parts: list[tuple[int, int]] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.stop = False

    def check(self) -> None:
        if self.stop:
            raise JobStopped

    def progress(self, done: int, total: int) -> None:
        self.parts.append((done, total))

    def event(self, name: str, /, **fields: Any) -> None:
        self.lines.append((name, fields))

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def failed_once(self, error: Exception, tries: int) -> None:
        self.notes.append((type(error).__name__, tries))


class Longest(random.Random):
    """Chance that always takes the longest pause."""

    def random(self) -> float:
        return 1.0


def test_a_fault_is_tried_again_with_longer_and_longer_pauses() -> None:
    memory = Memory()

    def job() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_tries(memory, job, {}, 9, 0.5, Longest())
    assert memory.pauses == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S]
    assert memory.notes == [("OSError", tries) for tries in range(1, 9)]


def test_jobs_that_fail_together_come_back_apart_and_each_of_them_always_at_the_same_times() -> None:
    def pauses(seed: str) -> list[float]:
        memory = Memory()
        with pytest.raises(ZeroDivisionError):
            run_tries(memory, lambda: 1 / 0, {}, 6, 1.0, random.Random(seed))
        return memory.pauses

    jobs = [pauses(f"job {number}") for number in range(50)]
    assert pauses("job 7") == jobs[7]
    for index, longest in enumerate((1, 2, 4, 8, 16)):
        waited = [one[index] for one in jobs]
        assert longest / 2 <= min(waited) < 0.6 * longest
        assert 0.9 * longest < max(waited) <= longest


def test_progress_and_events_go_to_the_worker_and_nowhere_without_one() -> None:
    memory = Memory()

    def job() -> None:
        progress(1, 3)
        log_event("read", count=1)

    run_tries(memory, job, {}, 1, 0, CHANCE)
    assert (memory.parts, memory.lines) == ([(1, 3)], [("read", {"count": 1})])
    job()
    assert len(memory.parts) == 1


def test_an_outage_of_the_database_is_not_final() -> None:
    memory, faults = Memory(), [DATABASE_AWAY("jobs_database_away", position="host/jobs", cause="OSError")]

    def job() -> int:
        if faults:
            raise faults.pop()
        return 1

    assert run_tries(memory, job, {}, 2, 0, CHANCE) == 1
    assert memory.notes == [("DatabaseAway", 1)]


@pytest.mark.parametrize("error_class", [InputError, ItemRefused, InternalFault])
def test_an_error_raised_on_purpose_is_final(error_class: type[InputError]) -> None:
    memory = Memory()

    def job() -> None:
        raise error_class("code", "A sentence.")

    with pytest.raises(error_class, match=r"A sentence\."):
        run_tries(memory, job, {}, 9, 0, CHANCE)
    assert memory.notes == []


def test_a_result_comes_back_as_json_gives_it() -> None:
    assert run_tries(Memory(), lambda item: (item, {"é": item}), {"item": 1}, 1, 0, CHANCE) == [1, {"é": 1}]


def test_a_job_that_should_stop_goes_no_further() -> None:
    memory, calls = Memory(), []

    def job() -> None:
        check()
        memory.stop = True
        try:
            check()
        except Exception:
            calls.append("caught")
        calls.append("went on")

    check()
    with pytest.raises(JobStopped):
        run_tries(memory, job, {}, 9, 0, CHANCE)
    with pytest.raises(JobStopped):
        run_tries(memory, lambda: calls.append("begun"), {}, 9, 0, CHANCE)
    assert calls == []
    check()


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", object()])
def test_a_result_that_is_not_json_is_a_fault_of_the_job(value: object) -> None:
    with pytest.raises(InternalFault, match="the job returned something that is not plain JSON"):
        run_tries(Memory(), lambda: value, {}, 1, 0, CHANCE)


def test_a_job_that_pauses_stops_where_it_should() -> None:
    memory = Memory()

    def job() -> None:
        pause(60.0)
        memory.stop = True
        pause(90.0)

    with pytest.raises(JobStopped):
        run_tries(memory, job, {}, 3, 0, CHANCE)
    assert memory.pauses == [60.0, 90.0]
    pause(0.0)
