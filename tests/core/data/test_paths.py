from __future__ import annotations

import os
from pathlib import Path

import pytest

import core.data.paths
from core.data.paths import data_root, encodable


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    assert data_root() == tmp_path


def test_a_folder_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "absent"))
    assert data_root() is None


def test_else_it_lies_beside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    monkeypatch.setattr(
        core.data.paths, "__file__", str(tmp_path / "checkout" / "core" / "data" / "paths.py")
    )
    assert data_root() is None
    beside = tmp_path / "shared" / "data"
    beside.mkdir(parents=True)
    assert data_root() == beside


def test_a_path_in_utf8_is_left_as_it_is(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "肺.csv"):
        with encodable(path) as same:
            assert same is path


@pytest.mark.parametrize("name", [b"plain.nii.gz", b"caf\xe9.nii.gz", b"\xff.mhd", b"x.\xe9"])
def test_other_bytes_are_reached_by_links_that_do_not_stay(name: bytes, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / os.fsdecode(name)
    path.write_bytes(b"content")
    (folder / "beside.raw").write_bytes(b"more")
    with encodable(path) as given:
        assert str(given).encode()
        assert given.read_bytes() == b"content"
        assert (given.parent / "beside.raw").read_bytes() == b"more"
        assert given.suffix == (path.suffix if name != b"x.\xe9" else "")
        links = given.parent
    assert not links.exists()
    with encodable(folder) as given:
        (given / "new").write_bytes(b"written")
    assert (folder / "new").read_bytes() == b"written"
