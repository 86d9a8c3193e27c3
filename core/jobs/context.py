"""What a job may call while it runs: whether it should stop, how far it is, and a pause that ends when it should.

A job that dies in the middle is started again from its beginning, so it must be idempotent: write files by temporary
file and rename (`core.runs.files`), send what has its own identity, insert or replace. Outside a job all this costs
nothing: `check` and `progress` return, `pause` sleeps.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from core.errors import TriptychError
from core.jobs.reasons import FAULTS, DatabaseAway

LONGEST_PAUSE_S = 60.0
T = TypeVar("T")


class JobStopped(BaseException):
    """The job was cancelled, or its worker stops and gives it back. No Exception: jobs should not catch it."""


class JobExpired(JobStopped):
    """The job's deadline has passed. deadline: in ISO 8601."""

    def __init__(self, deadline: str) -> None:
        super().__init__(deadline)
        self.deadline = deadline


class JobContext(Protocol):
    """What a running job asks of its worker (`core.jobs.runtime`)."""

    def check(self) -> None:
        """Raise JobStopped where the job was cancelled or its worker stops, JobExpired past its deadline."""

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the worker stops."""

    def progress(self, done: int, total: int) -> None:
        """Take note of how far the job is."""

    def event(self, name: str, /, **fields: Any) -> None:
        """Write a line to the worker's log, of the fields in `core.runs.log`."""

    def failed_once(self, error: Exception, tries: int) -> None:
        """Take note of a try that failed and is followed by another one; tries: so many have failed."""


_running: ContextVar[JobContext | None] = ContextVar("triptych_job", default=None)


def check() -> None:
    """Raise JobStopped if the running job should stop; call it in long loops."""
    context = _running.get()
    if context is not None:
        context.check()


def progress(done: int, total: int) -> None:
    """Report that `done` of `total` parts of the job are done; written once a second at most, and at the end."""
    context = _running.get()
    if context is not None:
        context.progress(done, total)


def log_event(name: str, /, **fields: Any) -> None:
    """Write a line to the log of the worker that runs this job, of the fields in `core.runs.log`."""
    context = _running.get()
    if context is not None:
        context.event(name, **fields)


def pause(seconds: float) -> None:
    """Wait; raise JobStopped afterwards, or at once, where the running job should stop."""
    context = _running.get()
    if context is None:
        time.sleep(seconds)
        return
    context.pause(seconds)
    check()


def run_tries(
    context: JobContext,
    function: Callable[..., T],
    arguments: Mapping[str, Any],
    attempts: int,
    pause_s: float,
    chance: random.Random,
) -> T:
    """Call a job's function until it returns, and return its result as JSON gives it.

    Errors raised on purpose (TriptychError: input, config, refused items) are final. Any other exception, and an
    outage of the database of jobs, may be a matter of time: the function is called again, up to `attempts` tries,
    after half to all of pause_s, then of twice as long, …; chance: where in between, so that jobs which failed by one
    outage do not all come back at once. Raises InternalFault for a result that is not plain JSON.
    """
    failures = 0
    token = _running.set(context)
    try:
        while True:
            try:
                check()
                return _plain(function(**arguments))
            except Exception as error:
                if isinstance(error, TriptychError) and not isinstance(error, DatabaseAway):
                    raise
                failures += 1
                if failures >= attempts:
                    raise
                context.failed_once(error, failures)
            longest_s = min(pause_s * 2 ** (failures - 1), LONGEST_PAUSE_S)
            context.pause(longest_s * chance.uniform(0.5, 1.0))
    finally:
        _running.reset(token)


def _plain(value: T) -> T:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise FAULTS("job_result") from None
    result: T = json.loads(text)
    return result
