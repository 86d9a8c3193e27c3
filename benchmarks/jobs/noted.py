"""Jobs that leave one file each: what they made, and how often they were begun."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.jobs.context import check
from core.runs.files import create_bytes


def note(folder: str, item: int, seconds: float) -> int:
    """Note that item was begun, take some time, and make its file: whole, and once."""
    handle = os.open(Path(folder) / "begun.txt", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, f"{item}\n".encode("ascii"))
    os.close(handle)
    time.sleep(seconds)
    check()
    create_bytes(Path(folder) / "made" / str(item), _content(item))
    return item


def nothing() -> None:
    """Do nothing."""


def begun(folder: Path) -> list[int]:
    """Return the items that were begun, in order; one that was begun again is there again."""
    path = folder / "begun.txt"
    return [int(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def made(folder: Path) -> dict[int, bool]:
    """Return whether each file is what its job makes, by item."""
    files = [path for path in (folder / "made").iterdir() if not path.name.startswith(".")]
    return {int(path.name): path.read_bytes() == _content(int(path.name)) for path in files}


def _content(item: int) -> bytes:
    return f"{item}\n".encode("ascii") * 100
