"""Steps and tries, with a keeper in memory instead of a database."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InputError, InternalFault, ItemRefused
from core.jobs.config import DatabaseAway
from core.jobs.step import LONGEST_PAUSE_S, JobStopped, check, pause, run_tries, step


class Memory:
    """A keeper that remembers what it was told."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self.pauses: list[float] = []
        self.notes: list[tuple[str, int]] = []
        self.stop = False

    def must_stop(self) -> bool:
        return self.stop

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def load(self, name: str) -> str | None:
        return self.results.get(name)

    def save(self, name: str, result: str) -> None:
        self.results[name] = result

    def failed_once(self, error: Exception, tries: int) -> None:
        self.notes.append((type(error).__name__, tries))


def test_outside_a_job_a_step_is_a_call() -> None:
    check()
    assert [step("a", lambda x: (x, x), 3), step("a", lambda x: x, x=4)] == [[3, 3], 4]


def test_a_finished_step_is_not_called_again_and_gives_the_same_result() -> None:
    memory, calls = Memory(), []

    def job(item: int) -> Any:
        first = step("first", lambda: calls.append("first") or (item, "é"))
        second = step("second", lambda: calls.append("second") or {"of": first})
        return (first, second)

    fresh = run_tries(memory, job, {"item": 1}, 1, 0)
    assert fresh == [[1, "é"], {"of": [1, "é"]}]
    assert run_tries(memory, job, {"item": 1}, 1, 0) == fresh
    assert calls == ["first", "second"]
    del memory.results["second"]
    assert run_tries(memory, job, {"item": 1}, 1, 0) == fresh
    assert calls == ["first", "second", "second"]


def test_a_fault_is_tried_again_with_longer_and_longer_pauses() -> None:
    memory = Memory()

    def job() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_tries(memory, job, {}, 9, 0.5)
    assert memory.pauses == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S]
    assert memory.notes == [("OSError", tries) for tries in range(1, 9)]


def test_progress_begins_a_new_row_of_tries() -> None:
    memory = Memory()

    def job() -> int:
        for number in range(5):
            step(f"step/{number}", lambda: 0)
            if f"failed/{number}" not in memory.results:
                memory.results[f"failed/{number}"] = ""
                raise OSError
        return 7

    assert run_tries(memory, job, {}, 2, 0) == 7
    assert [tries for _, tries in memory.notes] == [1] * 5


def test_an_outage_of_the_database_is_not_final() -> None:
    memory, faults = Memory(), [DatabaseAway("jobs_database", "It is away.")]

    def job() -> int:
        if faults:
            raise faults.pop()
        return 1

    assert run_tries(memory, job, {}, 2, 0) == 1
    assert memory.notes == [("DatabaseAway", 1)]


@pytest.mark.parametrize("kind", [InputError, ItemRefused, InternalFault])
def test_an_error_raised_on_purpose_is_final(kind: type[InputError]) -> None:
    memory = Memory()

    def job() -> None:
        raise kind("code", "A sentence.")

    with pytest.raises(kind, match=r"A sentence\."):
        run_tries(memory, job, {}, 9, 0)
    assert memory.notes == []


def test_a_job_that_should_stop_starts_no_further_step() -> None:
    memory, calls = Memory(), []

    def job() -> None:
        step("first", lambda: setattr(memory, "stop", True))
        try:
            step("second", lambda: calls.append("second"))
        except Exception:
            calls.append("caught")

    with pytest.raises(JobStopped):
        run_tries(memory, job, {}, 9, 0)
    assert (calls, list(memory.results)) == ([], ["first"])
    with pytest.raises(JobStopped):
        run_tries(memory, lambda: calls.append("begun"), {}, 9, 0)
    assert calls == []


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", object()])
def test_a_result_that_is_no_json_is_a_fault_of_the_job(value: object) -> None:
    with pytest.raises(InternalFault, match="step odd returned something that is no plain JSON"):
        run_tries(Memory(), lambda: step("odd", lambda: value), {}, 1, 0)
    with pytest.raises(InternalFault, match="the job returned something that is no plain JSON"):
        run_tries(Memory(), lambda: value, {}, 1, 0)


def test_a_name_used_twice_is_a_fault_of_the_job() -> None:
    with pytest.raises(InternalFault, match="step twin is called twice in one job"):
        run_tries(Memory(), lambda: [step("twin", lambda: 0), step("twin", lambda: 1)], {}, 1, 0)


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
