"""Signs of life, and who is judged dead. Real deaths: tests/e2e/test_jobs.py."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from core.jobs.heartbeat import Watch, beat, sign_off, take_over, workers
from core.jobs.queue import State, job, submit
from core.jobs.store import WORKERS, Store
from tests.core.jobs.workers import until, wait, working

pytestmark = pytest.mark.slow


def set_back(store: Store, worker: str, seconds: float) -> None:
    store.change(sa.update(WORKERS).where(WORKERS.c.id == worker).values(beat=store.now - seconds))


def claimed(store: Store, worker: str) -> str:
    """A job that DBOS has given to a worker of ours, as its table says."""
    identity = submit(store, "add", {"a": 1, "b": 2})
    values = {"status": "PENDING", "executor_id": worker, "application_version": "triptych"}
    row = sa.table("workflow_status", *map(sa.column, ("workflow_uuid", *values)))
    assert store.change(sa.update(row).where(row.c.workflow_uuid == identity).values(**values)) == 1
    return identity


def test_a_worker_is_known_from_its_first_beat_to_its_last(store: Store) -> None:
    beat(store, "one")
    beat(store, "two")
    set_back(store, "one", 5)
    one, two = workers(store)
    assert (one.id, one.host, one.pid) == ("one", socket.gethostname(), os.getpid())
    assert 5 <= one.age_s < 60
    assert two.age_s < 5
    assert abs((datetime.now(UTC) - two.started).total_seconds()) < 60
    beat(store, "one")
    assert workers(store)[0].started == one.started
    assert workers(store)[0].age_s < 5
    sign_off(store, "one")
    assert [info.id for info in workers(store)] == ["two"]


@pytest.mark.parametrize("ahead_s", [None, 0.0, -40.0, 86400.0])
def test_the_jobs_of_the_dead_wait_again_whatever_the_clock_says(store: Store, ahead_s: float | None) -> None:
    """ahead_s: by how much the clock was set back since the last beat; None: no beat at all."""
    identity = claimed(store, "ghost")
    if ahead_s is not None:
        beat(store, "ghost")
        set_back(store, "ghost", -ahead_s)
    with working(store, {"add": lambda a, b: a + b}, dead_after_s=1.0) as worker:
        record = wait(store, identity, 60)
        assert (record.state, record.result, record.worker) == (State.DONE, 3, worker.id)
        assert until(lambda: [info.id for info in workers(store)] == [worker.id])


@pytest.mark.parametrize("ahead_s", [0.0, -86400.0, 86400.0])
def test_the_living_keep_their_jobs_whatever_the_clock_says(store: Store, ahead_s: float) -> None:
    identity = claimed(store, "alive")
    beat(store, "alive")
    set_back(store, "alive", -ahead_s)
    with working(store, {"add": lambda a, b: a + b}, dead_after_s=1.0) as worker:
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            beat(store, "alive")
            time.sleep(0.1)
        assert (job(store, identity).state, job(store, identity).worker) == (State.RUNNING, "alive")
        assert {info.id for info in workers(store)} == {worker.id, "alive"}


def test_a_beat_only_grows(store: Store) -> None:
    beats = []
    for ahead_s in (0, 3600, 0, 0, -7200, 0):
        if ahead_s:
            set_back(store, "one", -ahead_s)
        beat(store, "one")
        beats.append(workers(store)[0].beat)
    assert beats[1] > beats[0] + 3000
    assert beats[1] < beats[2] < beats[3], "though the clock went back by an hour"
    assert workers(store)[0].age_s >= 0


def test_silence_is_watched_by_the_observer_s_own_clock() -> None:
    now = [100.0]
    watch = Watch(lambda: now[0])

    def ages(after_s: float, **beats: float) -> dict[str, float]:
        now[0] += after_s
        return watch.age_s(beats, 30.0)

    assert ages(0, a=5.0, b=7.0) == {"a": 0.0, "b": 0.0}
    assert ages(20, a=5.0, b=6.0) == {"a": 20.0, "b": 0.0}, "a change is a heartbeat, also backwards"
    assert ages(20, a=5.0, b=6.0, c=1.0) == {"a": 40.0, "b": 20.0, "c": 0.0}
    assert ages(20, b=6.5) == {"b": 0.0}
    assert ages(10, a=5.0, b=6.5) == {"a": 0.0, "b": 10.0}, "who comes again is new"
    assert ages(30, a=5.0, b=6.5) == {"a": 0.0, "b": 0.0}, "who has not polled for so long judges nobody"


def test_before_its_own_first_beat_nobody_judges(store: Store) -> None:
    claimed(store, "ghost")
    assert take_over(store, "me", 30.0, Watch()) == []


def test_a_job_that_its_worker_forgot_waits_again(store: Store) -> None:
    with working(store, {"add": lambda a, b: a + b}, dead_after_s=1.0) as worker:
        identity = claimed(store, worker.id)
        record = wait(store, identity, 60)
    assert (record.state, record.result) == (State.DONE, 3)
