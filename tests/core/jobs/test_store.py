from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import InputError
from core.jobs.queue import State, cancel, jobs, requeue, submit
from core.jobs.reasons import DatabaseAway
from core.jobs.store import WORKERS, Store, database_url


def test_where_the_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_JOBS", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert database_url() == "sqlite:////state/triptych/jobs.sqlite"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/me")
    assert database_url() == "sqlite:////me/.local/state/triptych/jobs.sqlite"
    monkeypatch.setenv("TRIPTYCH_JOBS", "postgresql://me:secret@host/jobs")
    assert database_url() == "postgresql://me:secret@host/jobs"
    monkeypatch.chdir(tmp_path)
    assert database_url("a b.db") == f"sqlite:///{tmp_path}/a b.db"


@pytest.mark.parametrize(
    ("database", "sentence"),
    [
        (
            "folder",
            "the database of jobs at {tmp}/folder does not work (OperationalError): check that it is",
        ),
        (
            "text.txt",
            "the database of jobs at {tmp}/text.txt does not work (DatabaseError): check that it is",
        ),
        ("text.txt/jobs.sqlite", "{tmp}/text.txt exists and is not a folder"),
        (
            "mysql://host/jobs",
            "the database of jobs is neither a file nor a URL like postgresql://user@host/name",
        ),
        (
            "postgresql://host",
            "the database of jobs is neither a file nor a URL like postgresql://user@host/name",
        ),
        ("://", "the database of jobs is neither a file nor a URL like postgresql://user@host/name"),
        (
            "postgresql://me:secret@127.0.0.1:1/jobs",
            "the database of jobs at 127.0.0.1/jobs does not work (OperationalError)",
        ),
    ],
)
def test_a_database_that_cannot_be_opened(database: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no database, but a text of more than a hundred characters. " * 9)
    with pytest.raises(InputError) as caught:
        Store(database if "://" in database else str(tmp_path / database))
    assert caught.value.sentence.startswith(sentence.format(tmp=tmp_path))
    assert "secret" not in caught.value.sentence


def test_opening_a_second_time_finds_what_the_first_one_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "jobs.sqlite"
    with Store(str(path)) as first, Store(str(path)) as second:
        assert len(first.secret) == 32
        assert first.secret == second.secret
        row = {"id": "w", "host": "a", "pid": 1, "started": first.now, "beat": 0.0}
        first.put(WORKERS, row)
        second.put(WORKERS, {**row, "host": "b"}, keep=True)
        assert [kept.host for kept in first.rows(sa.select(WORKERS))] == ["a"]
        second.put(WORKERS, {**row, "host": "c"})
        (kept,) = first.rows(sa.select(WORKERS))
        assert kept.host == "c"
        assert kept.started == pytest.approx(time.time(), abs=60)
        assert [second.change(sa.delete(WORKERS)), second.change(sa.delete(WORKERS))] == [1, 0]
    logging.getLogger("dbos").error("CANARY")
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_one_sentence(small_disk: Path) -> None:
    with pytest.raises(
        DatabaseAway, match=r"does not work \(OperationalError\): check that it is there, runs, has room"
    ):
        Store(str(small_disk / "jobs.sqlite"))


def test_a_database_with_a_table_of_an_earlier_version_is_read(store: Store) -> None:
    identity = submit(store, "add")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE triptych_steps (job VARCHAR, name VARCHAR)")
        connection.exec_driver_sql("INSERT INTO triptych_steps VALUES ('j', 'n')")
    with Store(store.location) as again:
        assert [one.id for one in jobs(again)] == [identity]
        assert requeue(again, cancel(again, identity).id).state is State.WAITING
        steps = sa.table("triptych_steps", sa.column("name"))
        assert [row.name for row in again.rows(sa.select(steps))] == ["n"]
