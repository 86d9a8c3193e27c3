"""Where each image of a DICOM object lies: one frame of a CT Image, or each frame of an Enhanced CT.

Sources: DICOM PS3.3 C.7.6.2 (Image Plane), C.7.6.16 (Multi-frame Functional Groups).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from apps.nodule.reasons import refuse

UNIT_TOLERANCE = 1e-2  # direction cosines are written with few digits
MAX_PIXEL_MM = 10.0


@dataclass(frozen=True)
class Frame:
    """One image: `source` is the object's place in its list, `index` the frame's in the object, from 0.

    position_mm: (3,) LPS of the centre of the first pixel.
    orientation: (6,) unit vectors along a row (W) and along a column (H).
    spacing_mm: (2,) distance between rows (H axis), then between columns (W axis), as PixelSpacing has them.
    shape_HW: rows and columns.
    """

    source: int
    index: int
    position_mm: np.ndarray
    orientation: np.ndarray
    spacing_mm: np.ndarray
    shape_HW: tuple[int, int]


def group_item(dataset: Dataset, index: int, macro: str) -> Dataset | None:
    """Return the item of a functional group macro for one frame: its own, else the shared one, else None."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in [*per_frame[index : index + 1], *shared[:1]]:
        items = groups.get(macro)
        if items:
            return items[0]
    return None


def is_multiframe(dataset: Dataset) -> bool:
    """Return whether geometry lies in functional groups (Enhanced CT) rather than at the top level."""
    return "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset


def count_frames(dataset: Dataset) -> int:
    """Return the number of images in the object; an impossible NumberOfFrames counts as one."""
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except (TypeError, ValueError, OverflowError):
        return 1


def frames_of(datasets: list[Dataset]) -> list[Frame]:
    """Return every image of the objects, in the order given; raises ItemRefused("no_geometry")."""
    frames: list[Frame] = []
    bad = 0
    for source, dataset in enumerate(datasets):
        placed = len(dataset.get("PerFrameFunctionalGroupsSequence") or [None])
        bad += abs(count_frames(dataset) - placed)  # a plain CT Image has one position: one frame
        images = [_frame(dataset, source, index) for index in range(placed)]
        frames += [frame for frame in images if frame is not None]
        bad += images.count(None)
    if bad:
        raise refuse("no_geometry", images=bad)
    return frames


def _frame(dataset: Dataset, source: int, index: int) -> Frame | None:
    plane: list[Dataset | None] = [dataset, dataset, dataset]
    if is_multiframe(dataset):
        macros = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        plane = [group_item(dataset, index, macro) for macro in macros]
    position = _numbers(plane[0], "ImagePositionPatient", 3)
    orientation = _numbers(plane[1], "ImageOrientationPatient", 6)
    spacing = _numbers(plane[2], "PixelSpacing", 2)
    shape = _shape(dataset)
    if position is None or orientation is None or spacing is None or shape is None:
        return None
    directions = _unit_directions(orientation)
    if directions is None or (spacing <= 0).any() or (spacing > MAX_PIXEL_MM).any():
        return None
    return Frame(source, index, position, directions, spacing, shape)


def _numbers(dataset: Dataset | None, keyword: str, count: int) -> np.ndarray | None:
    try:
        values = np.array([float(value) for value in dataset[keyword].value], dtype=np.float64)  # type: ignore[index]
    except (TypeError, ValueError, KeyError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def _shape(dataset: Dataset) -> tuple[int, int] | None:
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return (rows, columns) if rows > 0 and columns > 0 else None


def _unit_directions(orientation: np.ndarray) -> np.ndarray | None:
    row, column = orientation[:3], orientation[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE or abs(row @ column) > UNIT_TOLERANCE:
        return None
    return np.concatenate([row / lengths[0], column / lengths[1]])
