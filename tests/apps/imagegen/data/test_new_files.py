"""Names of result files: plain where they are free, marked where they are taken, never another content's."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.imagegen.data.new_files import holds, mark_of, write_new, write_together
from core.errors import InputError


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_free_name_the_same_content_another_content_and_no_name_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    assert write_new(path, b"one", "m") == path
    assert write_new(path, b"one", "m") == path
    marked = path.with_name("a_m.png")
    assert write_new(path, b"two", "m") == write_new(path, b"two", "m") == marked
    with pytest.raises(InputError, match=r"holds other files named a\.png and a_m\.png: name another folder"):
        write_new(path, b"three", "m")
    assert _files(tmp_path / "new") == {"a.png": b"one", "a_m.png": b"two"}


def test_folders_and_links_that_lead_nowhere_count_as_taken(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to(tmp_path / "none")
    for name in ("a.png", "b.png"):
        assert write_new(tmp_path / name, b"one", "m").name == name.replace(".", "_m.")
    assert (tmp_path / "a.png").is_dir()
    assert (tmp_path / "b.png").is_symlink()
    assert not holds(tmp_path / "a.png", b"one")


def test_files_that_belong_together_get_one_mark(tmp_path: Path) -> None:
    first: dict[str, bytes | None] = {"a.json": b"1", "b.csv": b"x"}
    assert [path.name for path in write_together(tmp_path, first)] == ["a.json", "b.csv"]
    assert [path.name for path in write_together(tmp_path, first)] == ["a.json", "b.csv"]
    second = {**first, "b.csv": None}  # the earlier b.csv would else be taken for this one's
    (name,) = (path.name for path in write_together(tmp_path, second))
    assert name.startswith("a_")
    third = [path.name for path in write_together(tmp_path, {"a.json": b"2", "b.csv": b"x"})]
    assert [each[:2] for each in third] == ["a_", "b_"]
    assert third[0][2:10] == third[1][2:10]
    assert len(_files(tmp_path)) == 5
    assert len(mark_of(b"")) == 8
