from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import InputError
from core.runs import files
from core.runs.files import (
    create_bytes,
    file_stamp,
    make_folder,
    remove_partial,
    write_bytes,
    write_csv,
    write_json,
    write_private,
    write_text,
)


def test_files_are_written_whole_with_their_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "x.bin", b"\0\1")
    write_text(tmp_path / "t.txt", "肺\r\n")
    assert (tmp_path / "a" / "b" / "x.bin").read_bytes() == b"\0\1"
    assert (tmp_path / "t.txt").read_bytes() == "肺\r\n".encode()
    assert [x.name for x in (tmp_path / "a" / "b").iterdir()] == ["x.bin"], "no temporary file is left"


def test_json_is_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", {"b": 1, "a": "肺"})
    write_json(tmp_path / "2.json", {"a": "肺", "b": 1})
    assert (tmp_path / "1.json").read_text(encoding="utf-8") == '{\n  "a": "肺",\n  "b": 1\n}\n'
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "3.json", float("nan"))
    assert not (tmp_path / "3.json").exists()


def test_csv_quotes_what_needs_it(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["name", "value"], [["a,b", 1], ['say "x"', 2.5]])
    assert (tmp_path / "t.csv").read_bytes() == b'name,value\n"a,b",1\n"say ""x""",2.5\n'


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "t.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t.txt").stat().st_mode) == 0o640


def test_a_private_file_is_its_owners_alone_and_keeps_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(files.os, "fchown", lambda _, user, group: given.append((user, group)))
    write_private(path, b"old")
    assert given == []
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert given == [(path.stat().st_uid, path.stat().st_gid)]
    with pytest.raises(InputError):
        write_private(tmp_path / "no folder" / "keys.json", b"")


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert file_stamp(path) is None
    write_text(path, "one")
    first = file_stamp(path)
    assert first == file_stamp(path)
    write_text(path, "two")
    second = file_stamp(path)
    path.chmod(0o666)
    assert len({first, second, file_stamp(path)}) == 3


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "t.txt", "old")

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(InputError, match=f"the disk of {tmp_path} is full") as caught:
        write_text(tmp_path / "t.txt", "new")
    assert caught.value.code == "output_full"
    assert (tmp_path / "t.txt").read_text() == "old"
    assert [x.name for x in tmp_path.iterdir()] == ["t.txt"]


def test_a_full_disk_is_named_and_keeps_what_was_there(small_disk: Path) -> None:
    write_text(small_disk / "old.txt", "old")
    with pytest.raises(InputError, match=f"the disk of {small_disk} is full") as caught:
        write_bytes(small_disk / "old.txt", bytes(2**20))
    assert caught.value.code == "output_full"
    assert [(x.name, x.read_text()) for x in small_disk.iterdir()] == [("old.txt", "old")]


def test_a_place_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="lies below a file, not a folder") as caught:
        write_text(tmp_path / "file" / "sub" / "t.txt", "x")
    assert caught.value.code == "output_unwritable"
    with pytest.raises(InputError, match="exists and is not a folder"):
        make_folder(tmp_path / "file")
    assert make_folder(tmp_path / "new" / "folder").is_dir()


def test_a_new_file_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    assert create_bytes(path, b"one")
    assert not create_bytes(path, b"two")
    assert path.read_bytes() == b"one"
    assert [each.name for each in path.parent.iterdir()] == ["b.txt"]
    with pytest.raises(InputError, match="exists and is not a folder"):
        create_bytes(path / "c.txt", b"three")


def test_of_many_writers_of_a_new_file_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: create_bytes(path, bytes([n])), range(32)))
    assert sum(won) == 1
    assert path.read_bytes() == bytes([won.index(True)])


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(files.os, "replace", lambda *_: os._exit(9))
        child = os.fork()
        if child == 0:
            write_bytes(tmp_path / "x.bin", b"half")
        os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    for other in ("x.part", ".x.part", ".0123456789abcdef.part.txt"):
        (tmp_path / other).touch()
    remove_partial(tmp_path)
    remove_partial(tmp_path / "not-there")
    assert left.suffix == ".part"
    assert {path.name for path in tmp_path.iterdir()} == {"x.part", ".x.part", ".0123456789abcdef.part.txt"}
