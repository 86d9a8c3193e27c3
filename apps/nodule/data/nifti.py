"""Is a NIfTI file whole? ITK fills what is missing from a cut one with nothing, and says nothing.

Source: the NIfTI-1.1 and NIfTI-2 headers (nifti1.h, nifti2.h): dim, bitpix and vox_offset give the length.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

HEADER_BYTES = 540
CHUNK = 1 << 22


def is_whole(path: Path) -> bool:
    """Tell whether a .nii or .nii.gz file holds all the bytes that its header promises."""
    try:
        compressed = path.name.lower().endswith(".gz")
        with gzip.open(path, "rb") if compressed else path.open("rb") as stream:
            wanted = _promised_bytes(stream.read(HEADER_BYTES))
        if wanted is None:
            return False
        return _unpacks_to(path, wanted) if compressed else path.stat().st_size >= wanted
    except (OSError, EOFError, zlib.error):
        return False


def _promised_bytes(header: bytes) -> int | None:
    """Return the length of the unpacked file, or None where this is no single-file NIfTI header."""
    for order in "<>":
        if len(header) >= 348 and struct.unpack(f"{order}i", header[:4])[0] == 348:
            dims = struct.unpack(f"{order}8h", header[40:56])
            bits = struct.unpack(f"{order}h", header[72:74])[0]
            offset = struct.unpack(f"{order}f", header[108:112])[0]
        elif len(header) >= HEADER_BYTES and struct.unpack(f"{order}i", header[:4])[0] == 540:
            dims = struct.unpack(f"{order}8q", header[16:80])
            bits = struct.unpack(f"{order}h", header[14:16])[0]
            offset = struct.unpack(f"{order}q", header[168:176])[0]
        else:
            continue
        if not math.isfinite(offset):
            return None
        return int(offset) + math.prod(max(1, dim) for dim in dims[1 : 1 + max(0, dims[0])]) * bits // 8
    return None


def _unpacks_to(path: Path, wanted: int) -> bool:
    """The last four bytes of a whole gzip member tell its length (RFC 1952); else all is unpacked and counted."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        told = int.from_bytes(stream.read(4), "little")
    if told == wanted % 2**32:
        return True
    unpacked = 0
    with gzip.open(path, "rb") as unpacker:
        while chunk := unpacker.read(CHUNK):
            unpacked += len(chunk)
    return unpacked >= wanted
