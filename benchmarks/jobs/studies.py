"""Studies through the queue while its worker is killed, beside stage=infer of the same folder left alone."""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from apps.nodule.report.submission import FOLDER
from benchmarks.command_line import whole
from benchmarks.jobs.killing import Killed, database_of, start_process, start_worker, until
from core.errors import InputError
from core.jobs.queue import State, jobs
from core.jobs.store import Store
from core.runs.outputs import output_error

PROTOCOL = (
    "Chest CTs from `stage=simulate` (slices 5 mm apart, pixels of 2 mm) with a series that is skipped and a file "
    "that is quarantined beside them. `stage=infer` searches them undisturbed. The same folder is put on the "
    "queue by `stage=submit` and worked on by one `triptych-jobs work`, which is killed by SIGKILL at a random "
    "moment after it has begun a series, and started again, until all kills are spent; then it ends its work. "
    "Every file of both outputs is compared; the folder `.jobs` of the submission has no part in it."
)
LONGEST_S = 2.5  # between the beginning of a series and a death
SPACING = ("simulate.spacing_mm=5", "simulate.pixel_mm=2", "simulate.nodules=1")


def run(studies: str = "50", kills: str = "100", database: str = "sqlite") -> dict[str, Any]:
    """Measure, and return the record's content. Raises InputError for a number that is none, or another database."""
    count, deaths = whole("studies", studies), whole("kills", kills, 0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, database_of(database, Path(name)) as url:
        folder = Path(name)
        _command(folder, url, "simulate", f"simulate.count={count}", *SPACING, "output=made")
        _spoil(folder / "made" / "scans")
        own_s = _command(folder, url, "infer", "input=made/scans", "output=undisturbed")
        _command(folder, url, "submit", "input=made/scans", "output=killed")
        with Store(url) as store:
            starts, during, killed_s = _killed(folder, url, store, deaths)
            states = [one.state for one in jobs(store)]
        undisturbed, killed = _tree(folder / "undisturbed"), _tree(folder / "killed")
    same = sum(killed.get(path) == digest for path, digest in undisturbed.items())
    more = sorted(killed.keys() - undisturbed.keys())
    done = states.count(State.DONE)
    return {
        "headline": {
            "studies done": f"{done} of {len(states)}",
            "files with the same bytes": f"{same} of {len(undisturbed)}",
            "files beyond": len(more),
            "deaths": deaths,
        },
        "protocol": PROTOCOL,
        "database": database,
        "studies": len(states),
        "done": done,
        "files": len(undisturbed),
        "same_bytes": same,
        "files_beyond": len(more),
        "deaths": deaths,
        "deaths_while_searching": during,
        "starts_of_jobs": starts,
        "seconds_undisturbed": round(own_s, 1),
        "seconds_killed": round(killed_s, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _killed(folder: Path, url: str, store: Store, deaths: int) -> tuple[int, int, float]:
    """Work while the worker is killed; return starts of jobs in all, deaths while a job ran, and the seconds."""
    chance = random.Random(4)
    began, during = time.monotonic(), 0
    worker = Killed(lambda: start_worker(folder, url, takeovers=1000))
    try:
        for _ in range(deaths):
            before = _starts(store)
            until(partial(_begun_or_done, store, before), look_s=0.1)
            if not _left(store):
                raise InputError(
                    "kills", "all studies were done before all kills were spent: name fewer kills"
                )
            time.sleep(chance.uniform(0, LONGEST_S))
            during += bool(jobs(store, State.RUNNING))
            worker.kill(chance)
        until(lambda: not _left(store), look_s=0.5)
    finally:
        worker.close()
    return _starts(store), during, time.monotonic() - began


def _begun_or_done(store: Store, before: int) -> bool:
    return _starts(store) > before or not _left(store)


def _starts(store: Store) -> int:
    return sum(one.starts for one in jobs(store))


def _left(store: Store) -> bool:
    return bool(jobs(store, State.WAITING, 1) or jobs(store, State.RUNNING, 1))


def _command(folder: Path, url: str, stage: str, *words: str) -> float:
    """Run one stage of triptych-nodule in a folder; return its seconds."""
    began = time.monotonic()
    process = start_process(
        [sys.executable, "-m", "pipelines.nodule", f"stage={stage}", *words], folder, TRIPTYCH_JOBS=url
    )
    process.communicate()
    if process.returncode not in (0, 4):
        raise InputError("stage", f"stage={stage} ended with {process.returncode}")
    return time.monotonic() - began


def _spoil(scans: Path) -> None:
    """Add a file that is named like DICOM and is none, and a text."""
    (scans / "broken.dcm").write_bytes(b"no DICOM")
    (scans / "readme.txt").write_bytes(b"no image")


def _tree(output: Path) -> Mapping[str, str]:
    """Return the digest of every file by its path; a temporary file counts as one."""
    try:
        files = [path for path in output.rglob("*") if path.is_file()]
        named = {str(path.relative_to(output)): path for path in files}
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in named.items()
            if not name.startswith(f"{FOLDER}/") or name.endswith(".part")
        }
    except OSError as error:
        raise output_error(error, output) from error
