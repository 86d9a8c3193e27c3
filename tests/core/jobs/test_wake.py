from __future__ import annotations

import threading
import time

import pytest

from core.jobs.queue import State, jobs, submit
from core.jobs.store import Store
from core.jobs.wake import Wake
from tests.core.jobs.workers import until, working


def waits(event: threading.Event, name: str, timeout: float) -> list[float]:
    """How long a thread of that name waited, once it has."""
    taken: list[float] = []

    def wait() -> None:
        began = time.monotonic()
        event.wait(timeout)
        taken.append(time.monotonic() - began)

    threading.Thread(target=wait, name=name).start()
    return taken


@pytest.mark.parametrize(("name", "early"), [("queue-worker-default", True), ("queue-worker-_dbos", False)])
def test_a_job_s_end_ends_the_wait_of_those_who_look_at_our_queues(name: str, early: bool) -> None:
    event, wake = threading.Event(), Wake()
    wake.attach([event])
    taken = waits(event, name, 2.0)
    time.sleep(0.1)
    wake.job_ended()
    until(lambda: taken)
    assert (taken[0] < 1.0) is early


def test_setting_the_event_ends_the_wait_at_once() -> None:
    event, wake = threading.Event(), Wake()
    wake.attach([event])
    taken = waits(event, "queue-worker-default", 30.0)
    event.set()
    until(lambda: taken)
    assert taken[0] < 10.0
    assert event.wait(30.0), "also for those who come later"


def test_the_looks_after_an_end_come_later_and_later_and_then_as_before() -> None:
    now = [0.0]
    event, wake = threading.Event(), Wake(lambda: now[0])
    wake.attach([event])
    wake.job_ended()
    timeouts = []
    for since in (0.001, 0.05, 1.0):
        now[0] = since
        taken = waits(event, "queue-worker-default", 0.5)
        until(lambda taken=taken: taken)
        timeouts.append(taken[0])
    assert timeouts[0] < 0.4
    assert timeouts[1] < 0.45
    assert timeouts[2] >= 0.5


@pytest.mark.slow
def test_jobs_follow_each_other_sooner_than_the_poll_interval(store: Store) -> None:
    for _ in range(20):
        submit(store, "nothing")
    began = time.monotonic()
    with working(store, {"nothing": lambda: None}, poll_s=5.0):
        until(lambda: len(jobs(store, State.DONE)) == 20)
        assert time.monotonic() - began < 40.0, "20 polls would take 100 s"
