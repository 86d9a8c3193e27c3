"""A zipped study that came from a stranger: unpacked within limits, or refused."""

from __future__ import annotations

import contextlib
import errno
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from apps.nodule.reasons import STUDY

MOST_FILES = 20_000
MOST_BYTES = 4 << 30  # of all files together: 8,000 slices of 512 × 512
MAGIC = b"PK"
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
# what a name can be at fault for: too long, a folder where a file is, and the reverse
_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def unpack_zip(source: IO[bytes], folder: Path) -> None:
    """Unpack a zip archive, an open file, into a folder.

    Names that would leave the folder are moved into it, and links become files. Raises InputError: study_empty,
    study_not_zip, study_encrypted, study_damaged, study_no_files, study_name,
    study_too_many_files, study_too_large, study_no_room.
    """
    begin = source.read(len(MAGIC))
    if not begin:
        raise STUDY("study_empty")
    try:
        with unpacking(), zipfile.ZipFile(source) as archive:
            _unpack(archive, folder)
    except zipfile.BadZipFile as error:
        raise STUDY("study_damaged" if begin == MAGIC else "study_not_zip") from error
    # zipfile raises NotImplementedError for a compression that it does not know
    except (zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise STUDY("study_damaged") from error


@contextlib.contextmanager
def unpacking() -> Iterator[None]:
    """Turn what the file system refuses into the study's reason: a name that it cannot hold, or no room."""
    try:
        yield
    except OSError as error:
        raise STUDY("study_name" if error.errno in _NAMES else "study_no_room") from error


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if not files:
        raise STUDY("study_no_files")
    if len(files) > MOST_FILES:
        raise STUDY("study_too_many_files", files=len(files), limit=MOST_FILES)
    if any(entry.flag_bits & _ENCRYPTED for entry in files):
        raise STUDY("study_encrypted")
    left = MOST_BYTES
    for number, entry in enumerate(files):
        # what the header says of the size is not to be believed: what comes out is counted
        if entry.file_size > left:
            raise STUDY("study_too_large", limit=MOST_BYTES)
        path = free_path(folder, entry.filename, number)
        with archive.open(entry) as source, path.open("wb") as target:
            left -= _copy(source, target, left)


def free_path(folder: Path, name: str, number: int) -> Path:
    """Return a new path below the folder, in a folder that is there, for entry `number` of a name.

    Parts that lead out of the folder are left out; of two entries of one name both are kept.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    path = folder.joinpath(*parts) if parts else folder / "unnamed"
    if path.is_file():
        path = folder / f"entry-{number}" / path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(source: IO[bytes], target: IO[bytes], most: int) -> int:
    """Copy at most so many bytes, and return how many there were."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        if copied > most:
            raise STUDY("study_too_large", limit=MOST_BYTES)
        target.write(chunk)
    return copied
