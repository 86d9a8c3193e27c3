"""Folders that are whole or not there: staged beside their name, cleaned up after writers that died."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from apps.risk.scoring import publishing
from apps.risk.scoring.publishing import ASIDE, STAGED, exchange, locked, publish, staging_folder, sync

NAME = "as_of=2024-01-31"


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "a.txt").write_text(content)
    return path


def test_a_staging_folder_lives_as_long_as_its_writer(tmp_path: Path) -> None:
    with staging_folder(tmp_path, NAME) as staging:
        assert staging.name.startswith(f".{NAME}.")
        assert staging.name.endswith(STAGED)
        with pytest.raises(BlockingIOError), locked(staging, fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
        with staging_folder(tmp_path, NAME) as second:
            assert {path.name for path in tmp_path.iterdir()} == {staging.name, second.name}, "both at work"
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_writer_left_is_removed_or_put_back(tmp_path: Path) -> None:
    folder(tmp_path / f".{NAME}.dead{STAGED}", "torn")
    folder(tmp_path / f".{NAME}{ASIDE}", "whole")
    with staging_folder(tmp_path, "as_of=2024-01-30"):
        assert (tmp_path / NAME / "a.txt").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_replaces_another_and_the_same_one_is_left(
    exchanges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchanges:

        def refuse(one: Path, other: Path) -> None:
            raise OSError(errno.EINVAL, "no exchange", str(other))

        monkeypatch.setattr(publishing, "exchange", refuse)
    target = tmp_path / NAME
    for number, content in enumerate(("one", "one", "two")):
        before = target.stat().st_ino if target.exists() else None
        publish(folder(tmp_path / f"new-{number}", content), target)
        sync(target)
        assert (target / "a.txt").read_text() == content
        assert (target.stat().st_ino == before) == (number == 1)


def test_two_folders_change_names(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", "1"), folder(tmp_path / "other", "2")
    exchange(one, other)
    assert [(path / "a.txt").read_text() for path in (one, other)] == ["2", "1"]
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "none")
