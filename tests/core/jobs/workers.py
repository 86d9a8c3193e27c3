"""Workers and databases for tests of the job queue: in this process, as real processes, and a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.jobs import postgres as own
from benchmarks.jobs.postgres import PostgresServer
from core.errors import InputError
from core.jobs.config import JobsConfig
from core.jobs.queue import Job, State, job
from core.jobs.runtime import Worker
from core.jobs.store import Store
from core.runs.log import RunLog

ROOT = Path(__file__).resolve().parents[3]
QUICK = {"poll_s": 0.02, "beat_s": 0.1, "dead_after_s": 1.0, "pause_s": 0.01, "grace_s": 0.0}
DEADLINE_S = 60.0  # nothing takes so long, even where other programs have the processor
COMMAND = """
import sys
from pipelines import jobs
jobs.JOBS.update({name: f"tests.core.jobs.sample_jobs:{name}" for name in ("record", "linger", "stubborn", "due")})
sys.exit(jobs.main())
"""


@contextlib.contextmanager
def working(
    store: Store, jobs: Mapping[str, Any], log: RunLog | None = None, clock: Any = None, **settings: Any
) -> Iterator[Worker]:
    """A worker in a thread of this process."""
    more = {} if clock is None else {"clock": clock}
    worker = Worker(store, jobs, JobsConfig(**{**QUICK, **settings}), log, **more)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()


def start_worker(folder: Path, database: str, **settings: Any) -> subprocess.Popen[str]:
    """A worker as a process of its own, through its command; it returns once the worker works."""
    words = [
        word
        for name, value in {**QUICK, **settings}.items()
        for word in ("--" + name.replace("_", "-"), str(value))
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "work", "--database", database, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("working on "), process.communicate()[1]
    return process


def wait(store: Store, identity: str, timeout_s: float = DEADLINE_S) -> Job:
    """The job, as soon as it neither waits nor runs."""
    limit = time.monotonic() + timeout_s
    while (one := job(store, identity)).state in (State.WAITING, State.RUNNING):
        assert time.monotonic() < limit, f"job {identity[:12]} is still {one.state}"
        time.sleep(0.05)
    return one


def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition holds, and return what it returned."""
    limit = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of one's own; the test is skipped where none is installed."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(own.postgres_server())
        except InputError as error:
            pytest.skip(error.sentence)
        yield server


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The same, as the URL of its databases with `{}` for their names."""
    with postgres() as server:
        yield server.url
