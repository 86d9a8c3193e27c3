from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import InputError
from core.jobs.config import DatabaseAway
from core.jobs.store import STEPS, Store, database_url


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
        row = {"job": "j", "name": "n", "result": "1", "ended": first.now}
        first.put(STEPS, row)
        second.put(STEPS, {**row, "result": "2"}, keep=True)
        assert [kept.result for kept in first.rows(sa.select(STEPS))] == ["1"]
        second.put(STEPS, {**row, "result": "3"})
        (kept,) = first.rows(sa.select(STEPS))
        assert kept.result == "3"
        assert kept.ended == pytest.approx(time.time(), abs=60)
        assert [second.change(sa.delete(STEPS)), second.change(sa.delete(STEPS))] == [1, 0]
    logging.getLogger("dbos").error("CANARY")
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_told_in_one_sentence(small_disk: Path) -> None:
    with pytest.raises(
        DatabaseAway, match=r"does not work \(OperationalError\): check that it is there, runs, has room"
    ):
        Store(str(small_disk / "jobs.sqlite"))
