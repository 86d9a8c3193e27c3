"""Write files whole or not at all: a temporary file beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from core.runs.outputs import output_error

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.part")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically, making folders as needed; raise InputError when the path cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, data, os.replace)
    except OSError as error:
        raise output_error(error, path.parent) from error


def write_private(path: Path, data: bytes) -> None:
    """Write bytes atomically into a file that its owner alone may read (mode 600).

    A file that is replaced keeps its owner. Raises InputError as `write_bytes` does.
    """
    try:
        _put(path, data, os.replace, private=True)
    except OSError as error:
        raise output_error(error, path.parent) from error


def create_bytes(path: Path, data: bytes) -> bool:
    """Write a new file atomically; False where its name is taken, by whatever it is. Raises as `write_bytes` does."""
    if path.exists() or path.is_symlink():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, data, _link)
    except FileExistsError:  # made by another process meanwhile, or the folder is a file
        if not path.parent.is_dir():
            write_bytes(path, data)
        return False
    except OSError as error:
        raise output_error(error, path.parent) from error
    return True


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, line ends as they are; a byte of a path that is not UTF-8 is written as \\udcXX.

    In JSON that is the escape of the same character, so that a reader gets the path back.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys and a newline at the end; NaN and infinity, which are not JSON, raise ValueError."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Return JSON as `write_json` writes it."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV with a header line, Unix line ends and RFC 4180 quoting."""
    write_text(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as `write_csv` writes it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def remove_partial(folder: Path) -> None:
    """Remove the temporary files that killed processes left directly in a folder, there or not.

    Call it where nobody else writes there. Raises InputError where one cannot be removed.
    """
    try:
        for path in folder.glob(".*.part") if folder.is_dir() else ():
            if _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error


def make_folder(path: Path) -> Path:
    """Make a folder with its parents; raise InputError when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, path) from error
    return path


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """Return numbers that are others once a file's content or mode has changed; None where there is no such file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name unless that is taken; where a file system knows no links, the last to come wins."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        os.replace(temporary, path)
    else:
        temporary.unlink()


def _put(path: Path, data: bytes, name: Callable[[Path, Path], None], *, private: bool = False) -> None:
    # named before it is made: a signal at any moment leaves nothing behind
    temporary = path.parent / f".{secrets.token_hex(8)}.part"  # as _TEMPORARY has it
    try:
        with open(temporary, "xb", opener=_open_private if private else None) as stream:
            if private and path.exists():
                _give_to_owner_of(path, stream.fileno())
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        name(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _give_to_owner_of(path: Path, descriptor: int) -> None:
    """Give a new file the owner of an old one, as far as this user may: a service that reads it stays able to."""
    owner = path.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
