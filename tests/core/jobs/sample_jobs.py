"""Jobs that leave traces: which parts ran, how often, and what they made."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from core.jobs.context import check
from core.runs.files import write_text


def trace(folder: str, line: str) -> None:
    """Append one line; a single short write is atomic."""
    handle = os.open(Path(folder) / "trace.txt", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, (line + "\n").encode("ascii"))
    os.close(handle)


def traced(folder: Path) -> list[str]:
    """The lines so far."""
    path = folder / "trace.txt"
    return path.read_text("ascii").splitlines() if path.exists() else []


def record(folder: str, item: int, seconds: float) -> dict[str, Any]:
    """Make three files, each with a line in the trace; what an earlier start has made is kept."""
    for part in range(3):
        path = Path(folder) / "made" / f"{item}-{part}.txt"
        if not path.exists():
            check()
            trace(folder, f"{item}/{part}")
            time.sleep(seconds)
            write_text(path, str(item * part))
    return {"sum": sum(item * part for part in range(3))}


def linger(folder: str) -> str:
    """Wait for a file; stop when asked to."""
    trace(folder, "started")
    while not (Path(folder) / "go.txt").exists():
        check()
        time.sleep(0.02)
    return "gone"


def stubborn(folder: str, seconds: float) -> str:
    """Take its time and never check whether it should stop."""
    trace(folder, "started")
    time.sleep(seconds)
    trace(folder, "ended")
    return "ended"


def due(folder: str, due: str) -> str:
    """Leave a line for a due time."""
    trace(folder, due)
    return due
