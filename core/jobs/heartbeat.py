"""Heartbeats: one row a worker, and the jobs of those whose heartbeat expired, requeued by whoever notices first.

A worker's beat is a number that only grows. Whether it grows is watched by each worker's own monotonic clock, so that
no clock that is set back or ahead, the database's or a machine's, makes the dead live or the living dead.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from dbos import DBOS

from core.jobs.queue import WORKFLOW
from core.jobs.store import WORKERS, Store


@dataclass(frozen=True)
class WorkerInfo:
    """One worker that has sent a heartbeat.

    beat: number of the last one. age_s: seconds since then by the database's clock, for people to read.
    """

    id: str
    host: str
    pid: int
    started: datetime
    beat: float
    age_s: float


class Watch:
    """Time since each worker's last heartbeat, as seen by one observer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._polled = clock()
        self._seen: dict[str, tuple[float, float]] = {}  # worker → its last beat, and when it was first seen

    def age_s(self, beats: Mapping[str, float], gap_s: float) -> dict[str, float]:
        """Return worker → seconds for which its beat has been the same.

        An observer that has not polled for gap_s (the machine was busy, the database away) begins anew: the others
        may have been kept from beating by the same.
        """
        now = self._clock()
        known = self._seen if now - self._polled < gap_s else {}
        self._polled = now
        fresh = {worker: (beat, now) for worker, beat in beats.items()}
        self._seen = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else fresh[worker]
            for worker, beat in beats.items()
        }
        return {worker: now - since for worker, (_, since) in self._seen.items()}


def workers(store: Store) -> list[WorkerInfo]:
    """Return the workers that have not stopped, the oldest first; dead ones are there until one notices."""
    age = (store.now - WORKERS.c.beat).label("age_s")
    rows = store.rows(sa.select(WORKERS, age).order_by(WORKERS.c.started))
    return [
        WorkerInfo(
            row.id,
            row.host,
            row.pid,
            datetime.fromtimestamp(row.started, UTC),
            row.beat,
            max(float(row.age_s), 0.0),
        )
        for row in rows
    ]


def beat(store: Store, worker: str) -> None:
    """Send a heartbeat: the database's time, or a little more than the last beat where that clock went back."""
    row = {
        "id": worker,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": store.now,
        "beat": store.now,
    }
    known = sa.update(WORKERS).where(WORKERS.c.id == worker).values(beat=_later(store.now))
    if not store.change(known):
        store.put(WORKERS, row)


def sign_off(store: Store, worker: str) -> None:
    """Remove the row of a worker that holds no job any more."""
    store.change(sa.delete(WORKERS).where(WORKERS.c.id == worker))


def take_over(store: Store, worker: str, dead_after_s: float, watch: Watch) -> list[str]:
    """Requeue jobs of workers whose heartbeat expired, and return their ids.

    Called before `beat`, in a launched runtime. watch: kept between calls. A worker counts as dead when the watch has
    seen no new beat of it for dead_after_s, or when it holds a job without having a row. A worker that is judged dead
    and is not loses nothing but time: DBOS writes the outcome of a job only for the worker that owns it, and jobs are
    idempotent.
    """
    age_s = watch.age_s({info.id: info.beat for info in workers(store)}, dead_after_s)
    if worker not in age_s:
        return []  # before its own first beat nobody judges
    running = store.client.list_workflows(
        name=WORKFLOW, status="PENDING", load_input=False, load_output=False
    )
    holders = {status.executor_id for status in running if status.executor_id} - {worker}
    dead = sorted(one for one in holders if age_s.get(one, dead_after_s) >= dead_after_s)
    # Not resume_workflow, which would also revive a job cancelled meanwhile, and forget how often one was lost.
    taken = [handle.workflow_id for one in dead for handle in DBOS._recover_pending_workflows([one])]
    gone = [one for one, age in age_s.items() if age >= dead_after_s and one != worker]
    store.change(sa.delete(WORKERS).where(WORKERS.c.id.in_(gone)))
    return taken


def _later(now: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
    return sa.case((now > WORKERS.c.beat, now), else_=WORKERS.c.beat + 0.001)
