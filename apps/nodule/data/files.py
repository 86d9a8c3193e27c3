"""Walk a folder and say what each file is by its first bytes, not by its name alone."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from apps.nodule.reasons import BAD_INPUT

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha", ".nrrd", ".nhdr")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima", ".dc3")
# Left by operating systems beside the data; they say nothing about it.
LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
LITTER_PREFIX = "._"
# Media Storage Directory: a DICOMDIR under any name (PS3.10 8.6); it lists images and holds none. A file with that
# class or that name and without the list is what its other bytes say.
DIRECTORY_CLASS = re.compile(rb"1\.2\.840\.10008\.1\.3\.10(?![0-9.])")
# (0004,1220) DirectoryRecordSequence, in either byte order.
DIRECTORY_RECORDS = re.compile(rb"\x04\x00\x20\x12|\x00\x04\x12\x20")
DATA_FILE_FIELD = re.compile(
    rb"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE
)
HEADER_BYTES = 65536
PREAMBLE = 132
META_BYTES = 512


class Kind(Enum):
    """What a file is."""

    DICOM = "dicom"
    VOLUME = "volume"
    EMPTY = "empty"
    DIRECTORY = "directory"
    FALSE_DICOM = "false_dicom"
    UNREADABLE = "unreadable"
    OTHER = "other"


@dataclass(frozen=True)
class FoundFile:
    """A file or an unreadable folder; `relative` is its path below the folder walked, with `/`."""

    path: Path
    relative: str
    kind: Kind


def path_hash(relative: str) -> str:
    """Return 8 hex digits that stand for a path without telling it."""
    return hashlib.sha256(os.fsencode(relative)).hexdigest()[:8]


def volume_suffix(name: str) -> str | None:
    """Return the suffix that makes a name a volume's, or None."""
    lower = name.lower()
    return next((suffix for suffix in VOLUME_SUFFIXES if lower.endswith(suffix)), None)


def find_files(folder: Path, *, leave_out: Iterable[Path] = ()) -> list[FoundFile]:
    """Return every file below a folder, or the one file given, sorted by relative path.

    Links are followed, each folder is entered once, those of `leave_out` never. DICOMDIRs, litter of operating
    systems and the data files that a volume's header names are left out.
    Raises InputError("input_missing") where the path does not exist.
    """
    if not folder.exists():
        raise BAD_INPUT("input_missing", path=folder)
    paths = [folder] if folder.is_file() else list(_walk(folder, leave_out))
    base = folder.parent if folder.is_file() else folder
    companions = {data for path in paths if volume_suffix(path.name) for data in voxel_files(path)}
    files = [found_file(path, base) for path in paths if path not in companions and not _is_litter(path.name)]
    files = [file for file in files if file.kind is not Kind.DIRECTORY]
    return sorted(files, key=lambda file: os.fsencode(file.relative))


def found_file(path: Path, base: Path) -> FoundFile:
    """Return what a file below a folder is."""
    return FoundFile(path, path.relative_to(base).as_posix(), _kind(path))


def _is_litter(name: str) -> bool:
    return name.lower() in LITTER or name.startswith(LITTER_PREFIX)


def _walk(folder: Path, leave_out: Iterable[Path]) -> Iterator[Path]:
    """Yield files, and folders that cannot be listed; a loop of links is entered once only."""
    entered = {_identity(path) for path in leave_out if path.is_dir()}
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            if _identity(current) in entered:
                continue
            entered.add(_identity(current))
            entries = sorted(os.scandir(current), key=lambda entry: os.fsencode(entry.name))
        except OSError:
            yield current
            continue
        folders = []
        for entry in entries:
            if _is_folder(entry):
                folders.append(Path(entry.path))
            else:
                yield Path(entry.path)
        waiting.extend(reversed(folders))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def voxel_files(header: Path) -> list[Path]:
    """Return the files beside an .mhd or .nhdr header that it names as holding its voxels."""
    if not header.name.lower().endswith((".mhd", ".nhdr")):
        return []
    try:
        if not stat.S_ISREG(header.stat().st_mode):
            return []
        with header.open("rb") as stream:
            text = stream.read(HEADER_BYTES)
    except OSError:
        return []
    return [header.parent / os.fsdecode(name) for name in DATA_FILE_FIELD.findall(text)]


def _kind(path: Path) -> Kind:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return Kind.UNREADABLE
        if not stat.S_ISREG(mode):
            return Kind.OTHER  # a pipe or a device would block or never end
        with path.open("rb") as stream:
            start = stream.read(4096)
    except OSError:
        return Kind.UNREADABLE
    return _kind_of_bytes(path.name, start)


def _kind_of_bytes(name: str, start: bytes) -> Kind:
    lower = name.lower()
    if volume_suffix(lower):
        return Kind.VOLUME if start else Kind.EMPTY
    named_dicom = lower.endswith(DICOM_SUFFIXES)
    # Archives often store "IM0001" or a bare UID: no suffix, or one of digits.
    bare = re.fullmatch(r"\.?\d*", Path(lower).suffix) is not None
    if not start:
        return Kind.EMPTY if named_dicom or bare else Kind.OTHER
    is_part10 = start[128:PREAMBLE] == b"DICM"
    if is_part10 and DIRECTORY_CLASS.search(start, 0, META_BYTES) and DIRECTORY_RECORDS.search(start):
        return Kind.DIRECTORY
    if is_part10 or _starts_with_element(start):
        return Kind.DICOM
    if named_dicom or (bare and b"\0" in start):
        return Kind.FALSE_DICOM
    return Kind.OTHER


def _starts_with_element(start: bytes) -> bool:
    """Tell a data set without preamble: its first element is of group 2 or 8 (PS3.10 annex F, ACR-NEMA)."""
    if len(start) < 8:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group, element = (int.from_bytes(start[at : at + 2], order) for at in (0, 2))
        length = int.from_bytes(start[4:8], order)
        explicit = start[4:6].isalpha() and start[4:6].isupper()
        if group in (2, 8) and element <= 0x0100 and (explicit or length <= 256):
            return True
    return False
