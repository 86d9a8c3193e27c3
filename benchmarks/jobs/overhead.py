"""What the queue adds to a job: submitting, starting, keeping the outcome."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.command_line import whole
from benchmarks.jobs.killing import database_of, start_worker, until
from core.jobs.queue import State, jobs, submit
from core.jobs.store import Store

PROTOCOL = (
    "Jobs that do nothing are submitted, then worked on by one `triptych-jobs work` with its default settings but "
    "for the jobs at once. Overhead of a job: time from the start of the first job to the end of the last, by the "
    "database, over their number."
)
TOGETHER = (1, 4)


def run(number: str = "1000", database: str = "sqlite") -> dict[str, Any]:
    """Measure, and return the record's content. Raises InputError for a number that is none, or another database."""
    count = whole("number", number)
    submitting, working = {}, {}
    for together in TOGETHER:
        with (
            tempfile.TemporaryDirectory() as name,
            database_of(database, Path(name)) as url,
            Store(url) as store,
        ):
            began = time.monotonic()
            for _ in range(count):
                submit(store, "nothing")
            submitting[together] = 1000 * (time.monotonic() - began) / count
            worker = start_worker(Path(name), url, concurrency=together)
            try:
                until(partial(_done, store, count), look_s=1.0)
            finally:
                worker.kill()
                worker.communicate()
            records = jobs(store)
            starts = [one.started for one in records if one.started]
            ends = [one.ended for one in records if one.ended]
            working[together] = 1000 * (max(ends) - min(starts)).total_seconds() / count
    return {
        "headline": {f"a job, {together} at once": f"{working[together]:.1f} ms" for together in TOGETHER}
        | {"submitting one": f"{submitting[TOGETHER[0]]:.1f} ms"},
        "protocol": PROTOCOL,
        "database": database,
        "jobs": count,
        "submit_ms": submitting,
        "work_ms": working,
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def _done(store: Store, count: int) -> bool:
    return len(jobs(store, State.DONE)) == count
