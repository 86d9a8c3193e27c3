"""Read a NIfTI file: its voxels as they are, and where they lie.

nibabel unpacks the header. Placement and voxels are read here, because ITK turns NaN into 0, ignores a checksum, makes
up an orientation where the file has none and refuses a sheared one, and nibabel refuses a q-form whose qfac is 0 or
whose quaternion is a little too long, both common. Source: nifti1.h, nifti2.h.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from apps.nodule.reasons import Note, note, refuse

GZIP = b"\x1f\x8b"
HEADER_BYTES = 540
CHUNK = 1 << 22
TYPES = frozenset({2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280})  # whole and floating-point numbers
CHANNELS = {128: 3, 2304: 4, 32: 2, 1792: 2}  # colours, complex numbers
SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
UNIT_MM = {1: 1000.0, 3: 0.001}  # metres, micrometres; anything else is millimetres
AGREED_MM = 0.01
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
HEADERS = {348: Nifti1Header, 540: Nifti2Header}


@dataclass(frozen=True)
class NiftiHeader:
    """What the header says.

    shape: voxels along x, y, z and further axes. channels: numbers a voxel. affine: (4, 4), index (x, y, z, 1) to LPS
    mm, or None where it is impossible. is_oriented: False where the file has neither q-form nor s-form; axes are then
    taken as L, P, S. notes: (code, sentence).
    """

    shape: tuple[int, ...]
    channels: int
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    affine: np.ndarray | None
    is_oriented: bool
    notes: tuple[Note, ...]


def is_compressed(path: Path) -> bool:
    """Judge by its first bytes whether a file is a gzip file."""
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if is_compressed(path) else path.open("rb")  # type: ignore[return-value]


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the header of a .nii or .nii.gz file, whichever its content is; raises ItemRefused("unreadable_volume")."""
    try:
        with _open(path) as stream:
            header = _parse(stream.read(HEADER_BYTES))
        named_compressed = path.name.lower().endswith(".gz")
        if named_compressed == is_compressed(path):
            return header
    except (OSError, EOFError, zlib.error, struct.error, ValueError, OverflowError):
        raise refuse("unreadable_volume") from None
    return NiftiHeader(**{**vars(header), "notes": (note("name_not_content"), *header.notes)})


def _parse(data: bytes) -> NiftiHeader:
    raw = _unpack(data)
    axes, kind = int(raw["dim"][0]), int(raw["datatype"])
    shape = tuple(int(length) for length in raw["dim"][1 : 1 + axes])
    if (
        raw["magic"].item()[:2] != b"n+"
        or not 1 <= axes <= 7
        or min(shape) < 1
        or kind not in TYPES | CHANNELS.keys()
    ):
        raise ValueError("not a single-file NIfTI of a known type")
    affine, is_oriented, notes = _placement(raw, shape)
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    plain = slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept)
    return NiftiHeader(
        shape,
        CHANNELS.get(kind, 1),
        raw.get_data_dtype(),
        int(raw["vox_offset"]),
        1.0 if plain else slope,
        0.0 if plain else intercept,
        affine,
        is_oriented,
        notes,
    )


def _unpack(data: bytes) -> Nifti1Header:
    """Return the header of either version in either byte order, which its first number tells apart."""
    for order in "<>":
        size = struct.unpack(f"{order}i", data[:4])[0]
        if size in HEADERS and len(data) >= size:
            return HEADERS[size](data[:size], endianness=order, check=False)
    raise ValueError("not a NIfTI header")


def _placement(raw: Nifti1Header, shape: tuple[int, ...]) -> tuple[np.ndarray | None, bool, tuple[Note, ...]]:
    """Return affine (LPS), whether the file gives one, and notes; s-form and q-form are two ways to say it."""
    unit = UNIT_MM.get(int(raw["xyzt_units"]) & 7, 1.0)
    scale = np.diag([unit, unit, unit, 1.0])
    qform_code, sform_code = int(raw["qform_code"]), int(raw["sform_code"])
    pixdim = [float(step) for step in raw["pixdim"]]
    forms = []
    if sform_code > 0:
        forms.append(raw.get_sform())
    if qform_code > 0:
        names = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
        forms.append(_from_quaternion([float(raw[name]) for name in names], pixdim))
    if not forms:
        plain = np.diag([*(abs(step) for step in pixdim[1:4]), 1.0])
        return _possible(scale @ plain), False, (note("no_orientation"),)
    if len(forms) == 2 and qform_code == SCANNER != sform_code:
        forms.reverse()  # the scanner's own coordinates, not an atlas's
    affines = [_possible(scale @ TO_LPS @ form) for form in forms]
    usable = [affine for affine in affines if affine is not None]
    if not usable:
        return None, True, ()
    corner = np.array([*(length - 1 for length in (*shape, 1, 1)[:3]), 1.0])
    off_mm = max(float(np.abs((usable[0] - usable[-1]) @ point).max()) for point in (corner, [0, 0, 0, 1]))
    return usable[0], True, (note("two_placements", off=off_mm),) if off_mm > AGREED_MM else ()


def _from_quaternion(quaternion: list[float], pixdim: list[float]) -> np.ndarray:
    """Return the q-form (nifti1.h, METHOD 2)."""
    b, c, d, *origin = quaternion
    rest = 1.0 - (b * b + c * c + d * d)
    a = math.sqrt(rest) if rest > 0 else 0.0
    length = math.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = (part / length for part in (a, b, c, d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * np.abs(pixdim[1:4]) * (1, 1, -1 if pixdim[0] < 0 else 1)
    affine[:3, 3] = origin
    return affine


def _possible(affine: np.ndarray) -> np.ndarray | None:
    return affine if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9 else None


def read_nifti_voxels(path: Path, header: NiftiHeader) -> np.ndarray:
    """Return the values (z, y, x), scaled as the header says; whole numbers stay whole where it does not scale.

    Raises ItemRefused: truncated, damaged_file.
    """
    count, data = math.prod(header.shape[:3]), b""
    try:
        with _open(path) as stream:
            stream.read(header.offset)
            data = stream.read(count * header.dtype.itemsize)
            while stream.read(CHUNK):  # the checksum stands at the end
                pass
    except gzip.BadGzipFile as error:
        # Bytes after the last member do no harm; otherwise CRC or length is wrong. Python's gzip raises BadGzipFile for
        # both, without any other sign: only the message tells them apart.
        if not str(error).startswith("Not a gzipped file"):
            raise refuse("damaged_file") from None
    except zlib.error:
        raise refuse("damaged_file") from None
    except EOFError:
        raise refuse("truncated", files=1, total=1) from None
    except OSError:
        raise refuse("unreadable_file") from None
    if len(data) < count * header.dtype.itemsize:
        raise refuse("truncated", files=1, total=1)
    x, y, z = (*header.shape, 1, 1)[:3]
    values_DHW = np.frombuffer(data, header.dtype).reshape(z, y, x)
    values_DHW = values_DHW.astype(header.dtype.newbyteorder("="), copy=False)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return values_DHW
    return values_DHW * np.float64(header.slope) + header.intercept
