from __future__ import annotations

from pathlib import Path

import pytest

import core.paths
from core.paths import data_root


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    assert data_root() == tmp_path


def test_a_folder_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "absent"))
    assert data_root() is None


def test_else_it_lies_beside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    monkeypatch.setattr(core.paths, "__file__", str(tmp_path / "checkout" / "core" / "paths.py"))
    assert data_root() is None
    beside = tmp_path / "shared" / "data"
    beside.mkdir(parents=True)
    assert data_root() == beside
