"""A password reaches no file, no database and no line of output: neither of a refused run nor of an accepted one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipelines import imagegen, jobs, nodule, risk
from tests.apps.risk.score_inputs import config, returns, words
from tests.core.jobs.workers import postgres_server

pytestmark = pytest.mark.e2e

PASSWORD = "hunter2-x7q"
URL = f"postgresql://bank:{PASSWORD}@127.0.0.1:1/scores"
TABLE = ("data=table", "data.entity=asset", "data.time=day", "data.targets=gain")
SCORE = ("stage=score", "output=out", *TABLE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that also holds whatever a user's state folder would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def holders(folder: Path) -> list[str]:
    """Names of the files that hold the password, in their name or their bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in paths if PASSWORD in str(path) or PASSWORD.encode() in path.read_bytes()]


REFUSED = {
    "a table": (risk, [*SCORE, f"data.path={URL}", "data.table=gains"]),
    "its columns": (risk, [*SCORE, "data.path=t.csv", f"data.columns={URL}"]),
    "a sink": (risk, [*SCORE, "data.path=t.csv", f"score.sql={URL}"]),
    "a sink, later": (risk, [*SCORE, "data.path=t.csv", f"score.sql={URL}", "schedule=* * * * *"]),
    "an option of a URL": (risk, [*SCORE, f"data.path=postgresql://bank@h/db?password={PASSWORD}"]),
    "a connection string": (risk, [*SCORE, f"data.path=host=h dbname=d password={PASSWORD}"]),
    "a sweep": (risk, ["-m", *SCORE, f"data.path={URL}", "seed=1,2"]),
    "a backtest": (risk, ["stage=backtest", "output=out", *TABLE, f"data.path={URL}"]),
    "a field that is none": (risk, [*SCORE, f"score.sqll={URL}"]),
    "no field": (risk, [*SCORE, URL]),
    "the queue": (jobs, ["list", "--database", URL]),
    "a worker": (jobs, ["work", "--database", URL]),
    "scans": (nodule, ["stage=infer", "output=out", f"input=https://me:{PASSWORD}@archive/ct"]),
    "pictures": (
        imagegen,
        ["stage=generate", "prompt=a", "output=o", f"image=https://me:{PASSWORD}@x/y.png"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_run_leaves_none(case: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "t.csv").write_text("asset,day,gain\n")
    command, line = REFUSED[case]
    assert command.main(line) == 2
    shown = "".join(capfd.readouterr())
    assert "holds a password" in shown
    assert len(shown.splitlines()) == 1
    assert PASSWORD not in shown
    assert holders(folder) == []
    assert not (folder / "runs").exists()


def test_a_password_in_an_experiment_file_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine" / "experiment").mkdir(parents=True)
    own = folder / "mine" / "experiment" / "bank.yaml"
    own.write_text(f"# @package _global_\nscore:\n  sql: {URL}\n")
    assert risk.main(["--config-dir", "mine", "experiment=bank", *SCORE, "data.path=mine"]) == 2
    shown = "".join(capfd.readouterr())
    assert shown.startswith("triptych-risk: score.sql holds a password")
    assert PASSWORD not in shown
    assert holders(folder) == [str(own)], "the user's own file alone"


@pytest.fixture(scope="module")
def bank() -> Iterator[str]:
    """The URL of a database whose user needs a password."""
    with postgres_server() as url:
        host = Path(url.partition("host=")[2])
        with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
            connection.execute(f"create role bank login password '{PASSWORD}'".encode())
            connection.execute("create database scores owner bank")
            rules = host / "data" / "pg_hba.conf"
            rules.write_text(f"local all bank scram-sha-256\n{rules.read_text()}")
            connection.execute("select pg_reload_conf()")
        yield url.format("scores").replace("tester@", "bank@")


@pytest.mark.parametrize("way", ["PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE"])
def test_an_accepted_run_leaves_none(
    way: str,
    bank: str,
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "file"
    socket = bank.partition("host=")[2]
    url = "postgresql:///?service=scores" if way == "PGSERVICEFILE" else bank
    if way == "PGPASSFILE":
        secret.write_text(f"*:*:scores:bank:{PASSWORD}\n")
        secret.chmod(0o600)
    elif way == "PGSERVICEFILE":
        secret.write_text(f"[scores]\nhost={socket}\ndbname=scores\nuser=bank\npassword={PASSWORD}\n")
    monkeypatch.setenv(way, PASSWORD if way == "PGPASSWORD" else str(secret))
    cfg = config(folder, returns(), run_dir="record", score_sql=url)
    assert risk.main(words(cfg)) == 0, capfd.readouterr().err
    assert risk.main([*words(cfg), "schedule=0 6 1 1 *"]) == 0
    assert (folder / "record" / "provenance.json").is_file()
    assert list((folder / "state").rglob("*.sqlite"))
    assert PASSWORD not in "".join(capfd.readouterr())
    assert holders(folder) == []
