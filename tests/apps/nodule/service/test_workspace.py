"""Folders of studies: private, and none outlives its service for long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.nodule.service.workspace import Workspace
from core.errors import InputError


def test_folders_are_private_and_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "studies")
    assert workspace.open() == 0
    first, second = workspace.new(), workspace.new()
    assert first != second
    assert (tmp_path / "studies").stat().st_mode & 0o077 == 0
    (first / "body").write_bytes(b"patient")
    workspace.close()
    assert list((tmp_path / "studies").iterdir()) == []


def test_what_a_killed_service_left_is_removed_and_counted(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
    left = tmp_path / ended.stdout.decode().strip()
    (left / "study").mkdir(parents=True)
    running = tmp_path / str(os.getppid())
    running.mkdir()
    assert Workspace(tmp_path).open() == 1
    assert not left.exists()
    assert running.exists()


def test_no_room_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(InputError) as caught:
        workspace.new()  # its folder is gone, as by a clean-up of the system
    assert caught.value.code == "study_no_room"
