"""The weights file that `weights=` means: the file itself, or the one in a folder, such as that of a training run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from apps.nodule.reasons import BAD_INPUT

SHOWN = 3


def weights_file(path: Path, suffixes: Collection[str]) -> Path:
    """Return `path`, or of a folder the one file directly in it whose name ends in one of `suffixes`.

    A path that is not a folder is returned as it is, whether it exists or not: who reads it says what is wrong.
    Raises InputError: weights_unreadable, weights_not_in_folder, weights_ambiguous.

    >>> weights_file(Path("weights.safetensors"), (".safetensors",)).name
    'weights.safetensors'
    """
    if not path.is_dir():
        return path
    try:
        # A name that begins with a dot is a file that is still being written.
        files = sorted(
            child
            for child in path.iterdir()
            if child.suffix in suffixes and not child.name.startswith(".") and child.is_file()
        )
    except OSError as error:
        raise BAD_INPUT("weights_unreadable", path=path, why=error.strerror) from error
    if not files:
        raise BAD_INPUT("weights_not_in_folder", path=path, suffixes=" or ".join(suffixes))
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:SHOWN]) + (", …" if len(files) > SHOWN else "")
        raise BAD_INPUT("weights_ambiguous", path=path, count=len(files), names=names)
    return files[0]
