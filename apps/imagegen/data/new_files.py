"""Files of results that never replace other content: where a name is taken, a mark joins it.

The same content under its name is left as it is, so that a second run writes the same bytes under the same names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from apps.imagegen.reasons import OUTPUT
from core.runs.files import create_bytes
from core.runs.outputs import output_error

_MARK = 8  # hex digits


def mark_of(*contents: bytes) -> str:
    """Return the first 8 hex digits of the SHA-256 of contents: what a name carries where it would else be taken."""
    whole = hashlib.sha256()
    for content in contents:
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()[:_MARK]


def write_new(path: Path, data: bytes, mark: str) -> Path:
    """Write a file and return its path: with `_mark` before the ending where the plain name holds other bytes.

    Raises InputError output_taken where the marked name holds other bytes too; output_unwritable, output_full.
    """
    marked = _marked(path, mark)
    for target in (path, marked):
        if create_bytes(target, data) or holds(target, data):
            return target
    raise OUTPUT("output_taken", folder=path.parent, name=path.name, marked=marked.name)


def write_together(folder: Path, files: Mapping[str, bytes | None]) -> list[Path]:
    """Write files that belong together, all under plain names or all with one mark of their content; return paths.

    None: there is no such file this time, so one that an earlier run left makes the plain names taken.
    Raises InputError as write_new does.
    """
    mark = mark_needed(folder, files)
    written = []
    for name, data in files.items():
        if data is not None:
            path = folder / name
            written.append(write_new(_marked(path, mark) if mark else path, data, mark or mark_of(data)))
    return written


def mark_needed(folder: Path, files: Mapping[str, bytes | None]) -> str:
    """Return the mark that `write_together` gives such files, "" where their plain names are free or theirs."""
    if all(holds(folder / name, data) or not _there(folder / name) for name, data in files.items()):
        return ""
    return mark_of(*(name.encode() + (b"" if data is None else data) for name, data in files.items()))


def holds(path: Path, data: bytes | None) -> bool:
    """Tell whether a file has exactly these bytes. Raises InputError where it cannot be read."""
    try:
        return data is not None and path.is_file() and path.read_bytes() == data
    except OSError as error:
        raise output_error(error, path.parent) from error


def _marked(path: Path, mark: str) -> Path:
    return path.with_stem(f"{path.stem}_{mark}")


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
