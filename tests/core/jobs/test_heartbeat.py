"""Signs of life, and who is judged dead. Real deaths: tests/e2e/test_jobs.py."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from core.jobs.heartbeat import beat, sign_off, take_over, workers
from core.jobs.queue import State, job, submit, wait
from core.jobs.store import WORKERS, Store
from tests.core.jobs.workers import until, working


def fall_silent(store: Store, worker: str, seconds: float) -> None:
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
    fall_silent(store, "one", 5)
    one, two = workers(store)
    assert (one.id, one.host, one.pid) == ("one", socket.gethostname(), os.getpid())
    assert 5 <= one.silent_s < 60
    assert two.silent_s < 5
    assert abs((datetime.now(UTC) - two.started).total_seconds()) < 60
    beat(store, "one")
    assert workers(store)[0].started == one.started
    assert workers(store)[0].silent_s < 5
    sign_off(store, "one")
    assert [info.id for info in workers(store)] == ["two"]


@pytest.mark.parametrize(("silence", "dead"), [(2.0, False), (40.0, True), (None, True)])
def test_the_jobs_of_the_dead_wait_again(store: Store, silence: float | None, dead: bool) -> None:
    identity = claimed(store, "ghost")
    if silence is not None:
        beat(store, "ghost")
        fall_silent(store, "ghost", silence)
    with working(store, {"add": lambda a, b: a + b}, dead_after_s=30.0) as worker:
        if dead:
            found = wait(store, identity, 60)
            assert (found.state, found.result, found.worker) == (State.DONE, 3, worker.id)
            assert until(lambda: [info.id for info in workers(store)] == [worker.id])
        else:
            time.sleep(0.5)  # five looks
            assert (job(store, identity).state, job(store, identity).worker) == (State.RUNNING, "ghost")
            assert {info.id for info in workers(store)} == {worker.id, "ghost"}


def test_who_was_silent_itself_judges_nobody(store: Store) -> None:
    claimed(store, "ghost")
    assert take_over(store, "me", 30.0) == [], "not a single beat yet"
    beat(store, "me")
    fall_silent(store, "me", 60)
    assert take_over(store, "me", 30.0) == []
    assert [info.id for info in workers(store)] == ["me"]


def test_a_job_that_its_worker_forgot_waits_again(store: Store) -> None:
    with working(store, {"add": lambda a, b: a + b}, dead_after_s=1.0) as worker:
        identity = claimed(store, worker.id)
        found = wait(store, identity, 60)
    assert (found.state, found.result) == (State.DONE, 3)
