"""The scheduled scoring under real faults: the command's exit codes, kill -9, two at once, due dates, an outage.

The twin of twenty kills, and of what all this costs at size, is benchmarks/risk/scoring.py.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pytest

import apps.risk.score as scoring
from apps.risk.config import RiskConfig
from apps.risk.scoring.manifest import verify
from apps.risk.scoring.partition import read_batches
from core.errors import InputError
from core.jobs.queue import State, jobs
from core.jobs.store import Store
from core.runs.folder import Run
from pipelines.jobs import JOBS
from tests.apps.risk.score_inputs import config, files, go, returns, scores, words
from tests.core.jobs.workers import ROOT, postgres_server, until, working

pytestmark = pytest.mark.e2e

KILLS = 2
SERIES = 200
LAST = "2024-03-22"
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def start(cfg: RiskConfig, folder: Path, *more: str) -> subprocess.Popen[str]:
    """The command, as a user types it, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.risk", *words(cfg), *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    said = process.communicate(timeout=DEADLINE_S)[1]
    return process.returncode, said


def few(series: int) -> str:
    """What a scoring of short series says, beside nothing."""
    return (
        f"note: {series} series have fewer than 100 observations, so that their 1 % VaR is extrapolated: see the "
        "columns observations and note (few_observations)\n"
    )


def large(folder: Path, **more: object) -> RiskConfig:
    """A scoring that takes long enough to be met in the middle."""
    return config(folder, returns(SERIES), model_paths=1000, model_horizon=5, score_chunk=10, **more)


def kill(process: subprocess.Popen[str], output: Path, wait_s: float) -> None:
    """Kill a scoring, so long after it has begun to write."""
    until(lambda: output.exists() or process.poll() is not None)
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_command_ends_with_the_code_of_rows_set_aside(tmp_path: Path) -> None:
    table = returns(3)
    table.loc[0, "day"] = "soon"
    cfg = config(tmp_path, table, run_dir=str(tmp_path / "run"))
    code, said = ended(start(cfg, tmp_path))
    assert code == 4
    assert said.startswith("note: 1 of 180 rows were set aside, all because day is not a valid time")
    assert said.endswith(few(3))
    assert said.count("\n") == 2
    assert len(scores(tmp_path / "out", LAST)) == 3 * 2 + 2
    [row] = json.loads((tmp_path / "out" / "quarantine" / f"as_of={LAST}.json").read_text())["parts"]
    assert (row["kind"], row["row"], row["entity"], row["column"]) == ("row", 0, "s000", "day")
    assert row["code"] == "time_value"


def test_a_backfill_scores_all_its_dates_into_one_output(tmp_path: Path) -> None:
    cfg = config(tmp_path, returns(3))
    assert ended(start(cfg, tmp_path, "-m", "as_of=2024-02-29,2024-03-15,2024-03-22")) == (0, 3 * few(3))
    folders = sorted(path.name for path in (tmp_path / "out" / "scores").iterdir())
    assert folders == ["as_of=2024-02-29", "as_of=2024-03-15", "as_of=2024-03-22"]
    single = config(tmp_path, returns(3), as_of="2024-03-15", output=str(tmp_path / "single"))
    assert go(single, tmp_path) == 0
    one = files(tmp_path / "single" / "scores")
    assert one == {name: sha for name, sha in files(tmp_path / "out" / "scores").items() if name in one}


def test_kill_9_at_random_moments_and_two_at_once_give_the_bytes_of_one_quiet_run(tmp_path: Path) -> None:
    chance = random.Random(4)
    cfg = large(tmp_path)
    output = tmp_path / "out"
    began = time.monotonic()
    assert go(cfg, tmp_path) == 0
    seconds = time.monotonic() - began
    quiet = files(output)
    (tmp_path / "out").rename(tmp_path / "quiet")
    for _ in range(KILLS):
        kill(start(cfg, tmp_path), output, chance.uniform(0.0, seconds / 2))
        whole = output / "scores" / f"as_of={LAST}"
        assert not whole.exists() or verify(whole), "all of it or nothing"
    two = [start(cfg, tmp_path), start(cfg, tmp_path)]
    assert [ended(one) for one in two] == 2 * [(0, few(SERIES))]
    assert files(output) == quiet


def test_two_due_dates_pass_and_two_results_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = str(tmp_path / "jobs.sqlite")
    monkeypatch.setenv("TRIPTYCH_JOBS", database)
    cfg = config(tmp_path, returns(3), schedule="0 6 * * 1-5", zone="Europe/Zurich", data_max_age="off")
    clock = [datetime.now(UTC)]
    code, said = ended(start(cfg, tmp_path))
    assert (code, said) == (0, "")
    with Store(database) as store, working(store, JOBS, clock=lambda: clock[0]):
        for count in (1, 2):
            clock[0] = _next_due(clock[0])
            until(partial(_done, store, count))
        assert {(job.state, job.progress) for job in jobs(store)} == {(State.DONE, (1, 1))}
    folders = sorted(path.name for path in (tmp_path / "out" / "scores").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert verify(tmp_path / "out" / "scores" / folder)["counts"]["scored"] == 3
        assert datetime.strptime(folder, "as_of=%Y-%m-%dT06-00-00").weekday() < 5


def _done(store: Store, count: int) -> bool:
    return len(jobs(store, State.DONE)) == count


def _next_due(now: datetime) -> datetime:
    """A minute after the next 06:00 in Zurich, which may be today's, from Monday to Friday."""
    local = now.astimezone(ZoneInfo("Europe/Zurich"))
    due = local.replace(hour=6, minute=0, second=0, microsecond=0)
    while due <= local or due.weekday() > 4:
        due += timedelta(days=1)
    return (due + timedelta(minutes=1)).astimezone(UTC)


def test_an_outage_in_mid_write_leaves_the_table_as_it_was_and_the_same_command_completes_it(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "risk_scores_outage"
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.format(name)
    cuts = [0]

    def cut_off(folder: Path) -> Iterator[pa.RecordBatch]:
        for batch in read_batches(folder, rows=3):
            yield batch
            if cuts[0]:
                cuts[0] -= 1
                with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
                    connection.execute(
                        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
                    )

    def rows() -> int:
        with psycopg.connect(url) as connection:
            count = connection.execute("select count(*) from risk_scores").fetchone()
        return int(count[0]) if count else -1

    monkeypatch.setattr(scoring, "read_batches", cut_off)
    monkeypatch.setattr(scoring, "PAUSES_S", (0.01, 0.02))
    record = Run(tmp_path / "run")
    early = config(tmp_path, returns(3), score_sql=url, as_of="2024-03-21")
    late = config(tmp_path, returns(3), score_sql=url, as_of=LAST)
    with record.log:
        assert scoring.run(early, record) == 0
        assert rows() == 8
        cuts[0] = 99
        with pytest.raises(InputError, match=r"which is as it was.* tried 3 times.* the same command again"):
            scoring.run(late, record)
        assert rows() == 8, "nothing of the new date"
        assert verify(tmp_path / "out" / "scores" / f"as_of={LAST}"), "the files are there"
        cuts[0] = 2
        assert scoring.run(late, record) == 0, "the third try gets through"
    assert rows() == 16
