"""Where the lungs are: a mask by threshold and connected air, at a coarse grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

GRID_MM = 3.0
AIR_HU = -400.0
CLOSING_MM = 12.0  # takes in nodules at the pleura and vessels at the hilum
MARGIN_MM = 3.0
LUNG_HU = (
    -900.0
)  # air denser than this on average has vessels in it; the room and the pads of a table have not
SMALLEST_MM3 = 100_000.0  # a smaller air space is bowel, or no lung at all


def lung_mask(hu_DHW: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Return the lungs with their airways, vessels and pleural border, bool of the same shape.

    hu_DHW: Hounsfield units; spacing_mm: distance of voxels along D, H, W. The grid must be head-to-feet along
    D, so that H and W borders lie outside the patient, or cut through a lung. Where no lung is found (a very small
    field of view, or none in it), everything that is not outside air is returned: better slow than blind. Nothing is
    set where there is nothing but air.
    """
    steps = [max(1, round(GRID_MM / s)) for s in spacing_mm]
    coarse = hu_DHW[:: steps[0], :: steps[1], :: steps[2]]
    grid_mm = [n * s for n, s in zip(steps, spacing_mm, strict=True)]
    inside = _lungs(coarse, grid_mm)
    return _upsample(inside, steps, hu_DHW.shape)


def _lungs(hu_DHW: np.ndarray, grid_mm: list[float]) -> np.ndarray:
    air = ndimage.gaussian_filter(hu_DHW.astype(np.float32), 0.5) < AIR_HU
    labels, count = ndimage.label(air)
    outside = _outside(hu_DHW, labels)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(grid_mm))
    sizes[0] = 0.0
    sizes[outside] = 0.0
    keep = sizes >= max(SMALLEST_MM3, 0.05 * sizes.max(initial=0.0))
    if not keep.any():
        return ~np.isin(labels, outside) | ~air
    lungs = keep[labels]
    closed = _erode(_dilate(lungs, grid_mm, CLOSING_MM), grid_mm, CLOSING_MM - MARGIN_MM)
    return closed | lungs


def _outside(hu_DHW: np.ndarray, labels_DHW: np.ndarray) -> np.ndarray:
    """Labels of the room around the patient: air that reaches a border in the axial plane, and is no lung cut off.

    A lung is cut off by one border alone; room, table and blankets reach several, or are thin.
    """
    sides = (labels_DHW[:, 0], labels_DHW[:, -1], labels_DHW[:, :, 0], labels_DHW[:, :, -1])
    touching, times = np.unique(np.concatenate([np.unique(side) for side in sides]), return_counts=True)
    touching, times = touching[touching > 0], times[touching > 0]
    return touching[(times > 1) | (ndimage.mean(hu_DHW, labels_DHW, touching) < LUNG_HU)]


def _dilate(mask_DHW: np.ndarray, grid_mm: list[float], radius_mm: float) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask_DHW, sampling=grid_mm) <= radius_mm


def _erode(mask_DHW: np.ndarray, grid_mm: list[float], radius_mm: float) -> np.ndarray:
    # beyond the volume counts as inside: lungs cut off by the field of view keep their border
    return ndimage.distance_transform_edt(mask_DHW, sampling=grid_mm) > radius_mm


def _upsample(mask_DHW: np.ndarray, steps: list[int], shape: tuple[int, ...]) -> np.ndarray:
    for axis, step in enumerate(steps):
        mask_DHW = np.repeat(mask_DHW, step, axis=axis)
    return mask_DHW[: shape[0], : shape[1], : shape[2]]
