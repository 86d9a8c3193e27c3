"""Attempts and stops, with a context in memory instead of a worker."""

from __future__ import annotations

import pytest

from core.errors import InputError, InternalFault, ItemRefused
from core.jobs.context import LONGEST_PAUSE_S, JobStopped, check, pause, run_tries
from core.jobs.reasons import DATABASE_AWAY


class Memory:
    """A context that remembers its calls."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notes: list[tuple[str, int]] = []
        self.stop = False

    def must_stop(self) -> bool:
        return self.stop

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def failed_once(self, error: Exception, tries: int) -> None:
        self.notes.append((type(error).__name__, tries))


def test_a_fault_is_tried_again_with_longer_and_longer_pauses() -> None:
    memory = Memory()

    def job() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_tries(memory, job, {}, 9, 0.5)
    assert memory.pauses == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S]
    assert memory.notes == [("OSError", tries) for tries in range(1, 9)]


def test_an_outage_of_the_database_is_not_final() -> None:
    memory, faults = Memory(), [DATABASE_AWAY("jobs_database_away", position="host/jobs", cause="OSError")]

    def job() -> int:
        if faults:
            raise faults.pop()
        return 1

    assert run_tries(memory, job, {}, 2, 0) == 1
    assert memory.notes == [("DatabaseAway", 1)]


@pytest.mark.parametrize("error_class", [InputError, ItemRefused, InternalFault])
def test_an_error_raised_on_purpose_is_final(error_class: type[InputError]) -> None:
    memory = Memory()

    def job() -> None:
        raise error_class("code", "A sentence.")

    with pytest.raises(error_class, match=r"A sentence\."):
        run_tries(memory, job, {}, 9, 0)
    assert memory.notes == []


def test_a_result_comes_back_as_json_gives_it() -> None:
    assert run_tries(Memory(), lambda item: (item, {"é": item}), {"item": 1}, 1, 0) == [1, {"é": 1}]


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
        run_tries(memory, job, {}, 9, 0)
    with pytest.raises(JobStopped):
        run_tries(memory, lambda: calls.append("begun"), {}, 9, 0)
    assert calls == []
    check()


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", object()])
def test_a_result_that_is_not_json_is_a_fault_of_the_job(value: object) -> None:
    with pytest.raises(InternalFault, match="the job returned something that is not plain JSON"):
        run_tries(Memory(), lambda: value, {}, 1, 0)


def test_a_job_that_pauses_stops_where_it_should() -> None:
    memory = Memory()

    def job() -> None:
        pause(60.0)
        memory.stop = True
        pause(90.0)

    with pytest.raises(JobStopped):
        run_tries(memory, job, {}, 3, 0)
    assert memory.pauses == [60.0, 90.0]
    pause(0.0)
