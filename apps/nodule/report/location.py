"""Where a finding lies, in the words of a reader: side of the body, image number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from scipy import ndimage

from apps.nodule.data.volume import Volume

# Nearer to the middle than this, the lung beside the point decides: the mediastinum is rarely exactly in the middle.
_UNSURE_MM = 20.0
_SOLID_HU = -300
_SLAB_MM = 20.0
_LUNG_HU = (-980, -500)  # the trachea holds less
_GRID_MM = 2.5
_LUNG_MM3 = 3000.0
_ONE_SIDED = 0.75  # share of a lung's voxels beyond the middle that makes it the left or the right one
_BESIDE_MM = 20.0
_CLEARER_MM = 3.0

NO_ORIENTATION = "the file does not say how its axes lie in the patient"
NO_BODY = "no body is seen around it"
NO_LUNG = "it lies in the middle and no lung is beside it"
JOINED = "it lies in the middle, where the two lungs cannot be told apart"
BETWEEN = "it lies in the middle, as near to one lung as to the other"


@dataclass(frozen=True)
class Side:
    """name: "left" or "right" (the patient's), or None; why: why it is None, else empty."""

    name: str | None
    why: str = ""


def find_side(volume: Volume, centre_mm: tuple[float, float, float]) -> Side:
    """Return the side of the patient's body on which a point lies, or why it is not known.

    The middle is the mean x of everything denser than lung within 20 mm above and below the point; within 20 mm of it
    the lung beside the point decides.
    """
    if not volume.is_oriented:
        return Side(None, NO_ORIENTATION)
    slab, first, steps = _slab(volume, centre_mm)
    solid = np.argwhere(slab > _SOLID_HU)
    if len(solid) == 0:
        return Side(None, NO_BODY)
    middle_mm = float(volume.to_world((solid * steps + first).mean(axis=0)[None])[0, 0])
    off_mm = centre_mm[0] - middle_mm
    if abs(off_mm) >= _UNSURE_MM:
        return _named(off_mm)
    return _side_of_lung(_lungs(volume, slab, first, steps), np.array(centre_mm), middle_mm)


def _named(off_mm: float) -> Side:
    return Side("left" if off_mm > 0 else "right")


def _slab(volume: Volume, centre_mm: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The voxels within 20 mm above and below a point, thinned; the index of the first, and the steps between them."""
    half = max(1, round(_SLAB_MM / float(volume.spacing_mm[0])))
    plane = round(float(volume.to_index(np.array([centre_mm]))[0, 0]))
    low = int(np.clip(plane - half, 0, volume.hu_DHW.shape[0] - 1))
    high = max(low, plane + half)
    steps = np.maximum(1, np.round(_GRID_MM / volume.spacing_mm).astype(int))
    slab = volume.hu_DHW[low : high + 1 : steps[0], :: steps[1], :: steps[2]]
    return slab, np.array([low, 0, 0]), steps


def _lungs(volume: Volume, slab: np.ndarray, first: np.ndarray, steps: np.ndarray) -> list[np.ndarray]:
    """Return the points of each piece of lung in the slab, (N, 3) mm."""
    air = (slab > _LUNG_HU[0]) & (slab < _LUNG_HU[1])
    core = ndimage.binary_erosion(air, border_value=1)  # parts lungs that touch in front of the aorta
    labels, count = ndimage.label(core)
    least = _LUNG_MM3 / (volume.voxel_mm3 * float(np.prod(steps)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    pieces = [np.argwhere(labels == n) for n in range(1, count + 1) if sizes[n] >= least]
    return [volume.to_world(piece * steps + first) for piece in pieces]


def _side_of_lung(lungs: list[np.ndarray], centre_3: np.ndarray, middle_mm: float) -> Side:
    """Name the lung that is clearly the nearest; one that lies on both sides of the middle is neither."""
    nearest = {"left": np.inf, "right": np.inf, "both": np.inf}
    for points_N3 in lungs:
        share = float((points_N3[:, 0] > middle_mm).mean())
        is_one = not 1 - _ONE_SIDED < share < _ONE_SIDED
        name = "both" if not is_one else "left" if share > 0.5 else "right"
        nearest[name] = min(nearest[name], float(np.linalg.norm(points_N3 - centre_3, axis=1).min()))
    name, other, _ = sorted(nearest, key=lambda lung: nearest[lung])
    if nearest[name] > _BESIDE_MM:
        return Side(None, NO_LUNG)
    if name == "both":
        return Side(None, JOINED)
    if nearest[other] - nearest[name] < _CLEARER_MM:
        return Side(None, BETWEEN)
    return Side(name)


def image_number(volume: Volume, centre_mm: tuple[float, float, float]) -> int:
    """Return the number, from 1, of the slice nearest to the point, in the volume's own order."""
    plane = round(float(volume.to_index(np.array([centre_mm]))[0, 0]))
    return int(np.clip(plane, 0, volume.hu_DHW.shape[0] - 1)) + 1


def source_image(volume: Volume, number: int) -> Dataset | None:
    """Return the header of image `number` (from 1), or None where a slice has no header of its own."""
    return volume.sources[number - 1] if len(volume.sources) == volume.hu_DHW.shape[0] else None
