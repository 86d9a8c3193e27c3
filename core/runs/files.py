"""Write files whole or not at all: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.errors import output_error


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically, making folders as needed; raise InputError when the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise output_error(error, path.parent) from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, line ends as they are; a byte of a path that is not UTF-8 is written as \\udcXX.

    In JSON that is the escape of the same character, so that a reader gets the path back.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys and a newline at the end; NaN and infinity raise ValueError (no JSON)."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV with a header line, Unix line ends and RFC 4180 quoting."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def make_folder(path: Path) -> Path:
    """Make a folder with its parents; raise InputError when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, path) from error
    return path


def _replace(path: Path, data: bytes) -> None:
    # named before it is made: a signal at any moment leaves nothing behind
    temporary = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
