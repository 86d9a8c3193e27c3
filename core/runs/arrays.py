"""Named arrays kept in one file, for what can be made again: a damaged file counts as none."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.runs.files import write_bytes


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as NumPy's .npz, whole or not at all; raise InputError when the path cannot be written."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays by name; None where the file is absent, cut short or changed (each has a checksum)."""
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream):
            stream.seek(0)
            with np.load(stream) as kept:
                return {name: kept[name] for name in kept.files}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
