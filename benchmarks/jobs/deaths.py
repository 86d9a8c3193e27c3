"""Many short jobs while their workers are killed: each done, each with its one output."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.command_line import whole
from benchmarks.jobs.killing import Killed, database_of, start_worker, until
from benchmarks.jobs.noted import begun, made
from core.jobs.queue import State, jobs, submit
from core.jobs.store import Store

PROTOCOL = (
    "Jobs of 20 ms, each of which makes one file of its own, are submitted at once. Worker processes (`triptych- "
    "jobs work`, four jobs at once each) are killed by SIGKILL at random moments, spread over the jobs, and "
    "started again. In the end every job must be done with its own result, and every file must be there, whole; a "
    "job in flight at a death is begun again, which is counted."
)
SECONDS = 0.02
TOGETHER = 4


def run(
    number: str = "1000", kills: str = "20", database: str = "sqlite", workers: str = ""
) -> dict[str, Any]:
    """Measure, and return the record's content. workers: by default 1 on SQLite, 3 on PostgreSQL.

    Raises InputError for a number that is none, another database, or one that is not installed.
    """
    count, deaths = whole("number", number), whole("kills", kills, 0)
    processes = whole("workers", workers) if workers else (3 if database == "postgresql" else 1)
    chance = random.Random(4)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, database_of(database, Path(name)) as url, Store(url) as store:
        folder = Path(name)
        ids = [
            submit(store, "note", {"folder": name, "item": item, "seconds": SECONDS}, key=str(item))
            for item in range(count)
        ]
        killed = Killed(lambda: start_worker(folder, url, concurrency=TOGETHER), processes)
        try:
            for place in sorted(chance.sample(range(count), deaths)):
                until(partial(_farther, folder, place), look_s=0.01)
                time.sleep(chance.uniform(0, 0.1))
                killed.kill(chance)
            until(lambda: not jobs(store, State.WAITING) and not jobs(store, State.RUNNING))
        finally:
            killed.close()
        ended = {one.id: one for one in jobs(store)}
        right = [ended[identity].result == item for item, identity in enumerate(ids)]
        done = sum(ended[identity].state is State.DONE for identity in ids)
        files = made(folder)
        again = sum(times - 1 for times in Counter(begun(folder)).values())
    whole_files = sum(files.values())
    return {
        "headline": {
            "jobs done": f"{done} of {count}",
            "outputs, each whole and once": f"{whole_files} of {count}",
            "deaths": killed.kills,
            "begun again": again,
        },
        "protocol": PROTOCOL,
        "database": database,
        "workers": processes,
        "jobs": count,
        "done": done,
        "right_results": sum(right),
        "outputs": whole_files,
        "deaths": killed.kills,
        "begun_again": again,
        "most_begun_again": killed.kills * TOGETHER,
        "seconds": round(time.monotonic() - began, 1),
    }


def _farther(folder: Path, place: int) -> bool:
    return len(begun(folder)) > place
