"""What a job may call while it runs: steps that are not run twice, and a look whether it should stop.

A job that dies in the middle is started again from its beginning. A step that was finished gives its kept result
at once; the step in flight runs again. So each step must be idempotent: write files by temporary file and rename
(`core.runs.files`), send what has its own identity, insert or replace.

DBOS has steps of its own. They are kept by their number in the order of calls, so a job whose code was upgraded
between a crash and its restart, or that takes another path at a second try, would not find them. Ours are kept by
name. Outside a job all this costs nothing: `step` calls the function, `check` returns.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from core.errors import InternalFault, TriptychError
from core.jobs.config import DatabaseAway

LONGEST_PAUSE_S = 60.0
T = TypeVar("T")


class JobStopped(BaseException):
    """The job was cancelled, or its worker stops and gives it back. No Exception: jobs should not catch it."""


class _Keeper(Protocol):
    """What a running job asks of its worker (`core.jobs.runtime`); results are JSON texts."""

    def must_stop(self) -> bool: ...
    def pause(self, seconds: float) -> None: ...
    def load(self, name: str) -> str | None: ...
    def save(self, name: str, result: str) -> None: ...
    def failed_once(self, error: Exception, tries: int) -> None: ...


class _Running:
    """One try of a job: its keeper, the names used so far, and how many steps it finished."""

    def __init__(self, keeper: _Keeper) -> None:
        self.keeper = keeper
        self.names: set[str] = set()
        self.finished = 0


_running: ContextVar[_Running | None] = ContextVar("triptych_job", default=None)


def step(name: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call the function once and for all, and return its result; a step that is behind the job is not called again.

    name: unique within the job ("write/3" in a loop). The result must be plain JSON and comes back as JSON gives
    it (a tuple as a list), the first time too. Raises JobStopped instead of starting when the job should stop,
    InternalFault for a name used twice and a result that is no JSON.
    """
    running = _running.get()
    if running is None:
        return _plain(f"step {name}", function(*args, **kwargs))[1]
    if name in running.names:
        raise InternalFault(
            "step_name", f"step {name} is called twice in one job: give each step its own name"
        )
    running.names.add(name)
    kept = running.keeper.load(name)
    if kept is not None:
        result: T = json.loads(kept)
        return result
    check()
    text, result = _plain(f"step {name}", function(*args, **kwargs))
    running.keeper.save(name, text)
    running.finished += 1
    return result


def check() -> None:
    """Raise JobStopped if the running job should stop; call it in long loops between steps."""
    running = _running.get()
    if running is not None and running.keeper.must_stop():
        raise JobStopped


def pause(seconds: float) -> None:
    """Wait; raise JobStopped afterwards, or at once, where the running job should stop."""
    running = _running.get()
    if running is None:
        time.sleep(seconds)
        return
    running.keeper.pause(seconds)
    check()


def run_tries(
    keeper: _Keeper, function: Callable[..., T], arguments: Mapping[str, Any], attempts: int, pause_s: float
) -> T:
    """Call a job's function until it returns, and return its result as JSON gives it.

    Errors raised on purpose (TriptychError: input, config, refused items) are final. Any other exception, and an
    outage of the database of jobs, may be a matter of time: the function is called again after pause_s, then twice
    as long, up to `attempts` tries in a row; a try that finished a further step begins a new row.
    """
    failures = 0
    while True:
        running = _Running(keeper)
        token = _running.set(running)
        try:
            check()
            return _plain("the job", function(**arguments))[1]
        except Exception as error:
            if isinstance(error, TriptychError) and not isinstance(error, DatabaseAway):
                raise
            failures = 1 if running.finished else failures + 1
            if failures >= attempts:
                raise
            keeper.failed_once(error, failures)
        finally:
            _running.reset(token)
        keeper.pause(min(pause_s * 2 ** (failures - 1), LONGEST_PAUSE_S))


def _plain(what: str, value: T) -> tuple[str, T]:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise InternalFault("step_result", f"{what} returned something that is no plain JSON") from None
    result: T = json.loads(text)
    return text, result
