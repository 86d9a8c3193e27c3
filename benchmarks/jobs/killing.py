"""Processes that are killed at random moments (SIGKILL) and started again, and databases for them."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs.postgres import postgres_server
from core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 600.0  # nothing here takes so long, even on a busy machine
QUICK = {"beat-s": 0.2, "dead-after-s": 2.0, "grace-s": 0.0}
_WORKER = """
import sys
from pipelines import jobs
jobs.JOBS.update(note="benchmarks.jobs.noted:note", nothing="benchmarks.jobs.noted:nothing")
sys.exit(jobs.main(sys.argv[1:]))
"""


class Killed:
    """Processes of one kind. start: begins one."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]], count: int = 1) -> None:
        self._start = start
        self._processes = [start() for _ in range(count)]
        self.kills = 0

    def kill(self, chance: random.Random) -> None:
        """Kill one of them at random, and start another in its place."""
        index = chance.randrange(len(self._processes))
        self._end(index)
        self.kills += 1
        self._processes[index] = self._start()

    def close(self) -> None:
        """End all."""
        for index in range(len(self._processes)):
            self._end(index)

    def _end(self, index: int) -> None:
        self._processes[index].kill()
        self._processes[index].communicate()


def start_worker(folder: Path, database: str, **settings: Any) -> subprocess.Popen[str]:
    """Start `triptych-jobs work` in a folder, with this folder's jobs too, and return once it works."""
    words = [word for name, value in {**QUICK, **settings}.items() for word in (f"--{name}", str(value))]
    process = start_process(
        [sys.executable, "-c", _WORKER, "work", "--database", database, *words],
        folder,
        TRIPTYCH_JOBS=database,
    )
    expect_line(process, "working on ")
    return process


def start_process(words: Sequence[str], folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a process whose first line on stdout is waited for by `expect_line`."""
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def expect_line(process: subprocess.Popen[str], beginning: str) -> str:
    """Return the first line of a process. Raises InputError where it is another."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(beginning):
        process.kill()
        raise InputError("process", f"a process said {line!r}, wanted {beginning!r}")
    return line


def until(condition: Callable[[], Any], seconds: float = WAIT_S, look_s: float = 0.05) -> Any:
    """Wait until the condition holds, and return what it returned. Raises InputError where it does not in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise InputError("waited", f"it did not come true within {seconds:.0f} s")
        time.sleep(look_s)
    return value


@contextlib.contextmanager
def database_of(kind: str, folder: Path) -> Iterator[str]:
    """Yield a new database for jobs. kind: sqlite or postgresql. Raises InputError for another word."""
    if kind == "sqlite":
        yield str(folder / "jobs.sqlite")
    elif kind == "postgresql":
        with postgres_server() as server:
            yield server.new_database("jobs")
    else:
        raise InputError("option", f"database is {kind!r}, wanted sqlite or postgresql")
