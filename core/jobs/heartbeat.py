"""Signs of life: one row a worker, and the jobs of those that fell silent, taken over by whoever notices first."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from dbos import DBOS

from core.jobs.queue import WORKFLOW
from core.jobs.store import WORKERS, Store


@dataclass(frozen=True)
class WorkerInfo:
    """One worker that gave a sign of life; silent_s is the time since the last one, in seconds."""

    id: str
    host: str
    pid: int
    started: datetime
    silent_s: float


def workers(store: Store) -> list[WorkerInfo]:
    """Return the workers that have not stopped, the oldest first; dead ones are there until one notices."""
    silence = (store.now - WORKERS.c.beat).label("silent_s")
    rows = store.rows(sa.select(WORKERS, silence).order_by(WORKERS.c.started))
    return [
        WorkerInfo(row.id, row.host, row.pid, datetime.fromtimestamp(row.started, UTC), float(row.silent_s))
        for row in rows
    ]


def beat(store: Store, worker: str) -> None:
    """Give a sign of life."""
    row = {
        "id": worker,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": store.now,
        "beat": store.now,
    }
    known = sa.update(WORKERS).where(WORKERS.c.id == worker).values(beat=store.now)
    if not store.change(known):
        store.put(WORKERS, row)


def sign_off(store: Store, worker: str) -> None:
    """Remove the row of a worker that holds no job any more."""
    store.change(sa.delete(WORKERS).where(WORKERS.c.id == worker))


def take_over(store: Store, worker: str, dead_after_s: float) -> list[str]:
    """Let the jobs of silent workers wait again, and return their ids; call it before `beat`, in a launched runtime.

    A worker that was silent itself for so long (the machine slept, the database was away) judges nobody this time:
    the others are just as alive. Who is judged dead and is not, loses nothing but time: DBOS writes the outcome of
    a job only for the worker that owns it, and steps are idempotent.
    """
    known = {info.id: info.silent_s for info in workers(store)}
    if known.get(worker, dead_after_s) >= dead_after_s:
        return []
    running = store.client.list_workflows(
        name=WORKFLOW, status="PENDING", load_input=False, load_output=False
    )
    holders = {status.executor_id for status in running if status.executor_id}
    dead = sorted(one for one in holders if known.get(one, dead_after_s) >= dead_after_s)
    # Not resume_workflow, which would also revive a job cancelled meanwhile, and forget how often one was lost.
    taken = [handle.workflow_id for one in dead for handle in DBOS._recover_pending_workflows([one])]
    store.change(
        sa.delete(WORKERS).where(WORKERS.c.id.in_([one for one, s in known.items() if s >= dead_after_s]))
    )
    return taken
