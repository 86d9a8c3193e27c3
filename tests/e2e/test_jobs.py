"""The job queue under real deaths: kill -9 at random moments, two workers on one database, clean stops.

On SQLite, and on PostgreSQL where its server is installed.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.jobs.postgres import PostgresServer
from core.jobs.heartbeat import workers
from core.jobs.queue import State, cancel, job, jobs, requeue, submit
from core.jobs.schedule import register, tick
from core.jobs.store import Store
from tests.core.jobs.sample_jobs import traced
from tests.core.jobs.workers import DEADLINE_S, postgres, start_worker, until

pytestmark = pytest.mark.e2e

KILLS = 3
PARTS = 3  # files of the job "record"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "jobs.sqlite")
    running: PostgresServer = request.getfixturevalue("server")
    return running.new_database(tmp_path.name)


@contextlib.contextmanager
def worker(folder: Path, database: str, **settings: object) -> Iterator[subprocess.Popen[str]]:
    process = start_worker(folder, database, **settings)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    said = process.communicate(timeout=DEADLINE_S)[1]
    return process.returncode, said


def submit_records(store: Store, folder: Path, count: int, seconds: float) -> list[str]:
    return [
        submit(store, "record", {"folder": str(folder), "item": item, "seconds": seconds}, key=str(item))
        for item in range(count)
    ]


def assert_recorded(store: Store, folder: Path, ids: list[str]) -> None:
    """Every job is done with its own result, and its files are there, whole; a temporary one may be left, hidden."""
    records = [job(store, identity) for identity in ids]
    assert [(one.state, one.result) for one in records] == [
        (State.DONE, {"sum": 3 * n}) for n in range(len(ids))
    ]
    files = {path.name: path.read_text() for path in (folder / "made").glob("[!.]*")}
    assert files == {f"{n}-{part}.txt": str(n * part) for n in range(len(ids)) for part in range(PARTS)}


def finished(store: Store) -> int:
    return len(jobs(store, State.DONE))


def test_kill_9_at_random_moments_loses_and_repeats_nothing(database: str, tmp_path: Path) -> None:
    chance = random.Random(4)
    with Store(database) as store:
        ids = submit_records(store, tmp_path, 24, 0.05)
        for _ in range(KILLS):
            before = len(traced(tmp_path))
            with worker(tmp_path, database, concurrency=2):
                until(lambda before=before: len(traced(tmp_path)) > before)
                time.sleep(chance.uniform(0.0, 0.3))
            assert submit_records(store, tmp_path, 24, 0.05) == ids
        with worker(tmp_path, database, concurrency=2) as last:
            until(lambda: finished(store) == len(ids))
            last.send_signal(signal.SIGTERM)
            assert ended(last) == (0, "")
        assert_recorded(store, tmp_path, ids)
    runs = Counter(traced(tmp_path))
    assert set(runs) == {f"{item}/{part}" for item in range(len(ids)) for part in range(PARTS)}
    # Only what was in flight at a death runs again: at most two files a kill, as two jobs run at once.
    assert len(ids) * PARTS < runs.total() <= len(ids) * PARTS + 2 * KILLS


def test_what_was_in_flight_runs_again_and_what_was_made_is_kept(database: str, tmp_path: Path) -> None:
    with Store(database) as store:
        (identity,) = submit_records(store, tmp_path, 1, 0.5)
        with worker(tmp_path, database):
            until(lambda: "0/1" in traced(tmp_path))
        killed = time.monotonic()
        assert job(store, identity).state is State.RUNNING
        with worker(tmp_path, database) as second:
            until(lambda: traced(tmp_path).count("0/1") == 2)
            assert time.monotonic() - killed > 0.8, "not before the first one counts as dead"
            until(lambda: finished(store))
            assert job(store, identity).starts == 2
            assert [info.pid for info in workers(store)] == [second.pid]
            assert_recorded(store, tmp_path, [identity])
            assert traced(tmp_path) == ["0/0", "0/1", "0/1", "0/2"]
            (tmp_path / "made" / "0-1.txt").unlink()
            assert requeue(store, identity).result is None
            until(lambda: finished(store))
            assert traced(tmp_path)[4:] == ["0/1"]
            submit(store, "linger", {"folder": str(tmp_path)})
            until(lambda: traced(tmp_path)[-1] == "started")
            (running,) = jobs(store, State.RUNNING)
            assert cancel(store, running.id[:10]).state is State.CANCELLED


def test_two_workers_share_the_jobs_and_one_key_is_one_job(database: str, tmp_path: Path) -> None:
    with (
        Store(database) as store,
        worker(tmp_path, database, dead_after_s=30) as one,
        worker(tmp_path, database, dead_after_s=30) as two,
    ):
        until(lambda: {info.pid for info in workers(store)} == {one.pid, two.pid})
        ids = submit_records(store, tmp_path, 12, 0.02)
        assert submit_records(store, tmp_path, 12, 0.02) == ids
        now = datetime(2026, 1, 2, 12, tzinfo=UTC)  # both find it missed, at their next tick
        register(store, "daily", "0 6 * * *", "UTC", "due", {"folder": str(tmp_path)}, catch_up=2, now=now)
        until(lambda: finished(store) == len(ids) + 2)
        assert tick(store, datetime.now(UTC)) == []
        assert_recorded(store, tmp_path, ids)
        assert len({job(store, identity).worker for identity in ids}) == 2
        for process in (one, two):
            process.send_signal(signal.SIGTERM)
        assert [ended(one), ended(two)] == [(0, ""), (0, "")]
        assert workers(store) == []
    runs = traced(tmp_path)
    assert len(runs) == len(set(runs)) == 12 * PARTS + 2


def test_a_database_that_goes_away_and_comes_back_loses_nothing(
    server: PostgresServer, tmp_path: Path
) -> None:
    """It crashes while two jobs run and others wait; the jobs run on, and are not begun again."""
    database = server.new_database(f"{tmp_path.name}-away")
    with worker(tmp_path, database, concurrency=2, dead_after_s=30):
        with Store(database) as store:
            ids = submit_records(store, tmp_path, 6, 0.5)
            until(lambda: len(traced(tmp_path)) >= 3)
        server.stop()
        time.sleep(1.5)
        server.start()
        with Store(database) as store:
            until(lambda: finished(store) == len(ids))
            assert_recorded(store, tmp_path, ids)
    assert len(traced(tmp_path)) == len(ids) * PARTS


def test_all_workers_together_take_no_more_than_a_queue_may(database: str, tmp_path: Path) -> None:
    """Each of two workers could take two, and so may both together; on SQLite one more, where both look at once."""
    more = 0 if database.startswith("postgresql") else 1
    settings = {"concurrency": 2, "concurrency_total": 2, "dead_after_s": 30}
    with (
        Store(database) as store,
        worker(tmp_path, database, **settings),
        worker(tmp_path, database, **settings),
    ):
        ids = submit_records(store, tmp_path, 12, 0.1)
        most = 0
        while finished(store) < len(ids):
            most = max(most, len(jobs(store, State.RUNNING)))
        assert 2 <= most <= 2 + more
        assert_recorded(store, tmp_path, ids)


@pytest.mark.parametrize(
    ("grace_s", "state", "lines"),
    [(30.0, State.DONE, ["started", "ended"]), (0.0, State.WAITING, ["started"])],
    ids=["finished", "given back"],
)
def test_a_stop_by_signal_lets_a_job_finish_or_gives_it_back(
    tmp_path: Path, grace_s: float, state: State, lines: list[str]
) -> None:
    database = str(tmp_path / "jobs.sqlite")
    with Store(database) as store, worker(tmp_path, database, grace_s=grace_s) as process:
        identity = submit(store, "stubborn", {"folder": str(tmp_path), "seconds": 2.0 if grace_s else 120.0})
        until(lambda: traced(tmp_path))
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "")
        assert job(store, identity).state is state
        assert traced(tmp_path) == lines
        assert workers(store) == []


def test_a_second_ctrl_c_waits_for_nobody(tmp_path: Path) -> None:
    database = str(tmp_path / "jobs.sqlite")
    with Store(database) as store, worker(tmp_path, database, grace_s=120) as process:
        identity = submit(store, "stubborn", {"folder": str(tmp_path), "seconds": 120.0})
        until(lambda: traced(tmp_path))
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")
        assert job(store, identity).state is State.RUNNING, "until another worker finds this one dead"
