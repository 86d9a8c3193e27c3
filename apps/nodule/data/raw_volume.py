"""Lungs on disk as plain voxels, for programs without Python: a header in text, HU and mask (deploy/cpp reads them).

NAME.lung holds lines of a key and its values: shape, spacing_mm, origin_mm (LPS of the first voxel), type. NAME.hu
holds the HU (float32 or int16, little-endian, columns fastest), NAME.mask a byte a voxel, 0 outside the lungs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.nodule.data.load import load
from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.series import scan
from apps.nodule.reasons import ACCEPTED
from core.runs.files import make_folder, write_bytes, write_text

FIRST_LINE = "triptych-lung 1"
SPACING_MM = 1.0  # the grid that the detector's networks take


def write_lungs(source: Path, folder: Path) -> list[Path]:
    """Write the lungs of each series in a folder, or a file, that is a chest CT, and return the headers.

    They are named by the series' UID, or the volume file's name. Series that stage=infer would not search are left out.
    Raises ItemRefused for an accepted series whose voxels cannot be read, OutputError.
    """
    accepted = [item for item in scan(source) if item.status == ACCEPTED]
    return [write_lung(lung_box(load(item), SPACING_MM), folder / item.id) for item in accepted]


def write_lung(box: LungBox, path: Path) -> Path:
    """Write a lung to `path`.lung, .hu and .mask, and return the header. HU of int16 stay so. Raises OutputError."""
    make_folder(path.parent)
    hu_DHW, grid = box.grid.hu_DHW, box.grid
    kind = "int16" if hu_DHW.dtype == np.int16 else "float32"
    shape = " ".join(map(str, hu_DHW.shape))
    origin = " ".join(repr(float(value)) for value in grid.origin_mm)
    lines = [
        FIRST_LINE,
        f"shape {shape}",
        f"spacing_mm {grid.spacing_mm!r}",
        f"origin_mm {origin}",
        f"type {kind}",
    ]
    # a series' UID has dots: a suffix is appended, none replaced
    header, hu, mask = (path.with_name(path.name + suffix) for suffix in (".lung", ".hu", ".mask"))
    write_bytes(hu, hu_DHW.astype(np.dtype(kind).newbyteorder("<")).tobytes())
    write_bytes(mask, box.mask_DHW.astype(np.uint8).tobytes())
    write_text(header, "\n".join(lines) + "\n")
    return header
