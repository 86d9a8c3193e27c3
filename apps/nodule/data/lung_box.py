"""The box around the lungs, resampled: found on a coarse grid, cut from the fine one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from apps.nodule.data.lungs import GRID_MM, lung_mask
from apps.nodule.data.resample import PatientGrid, to_patient_grid
from apps.nodule.data.volume import Volume


@dataclass(frozen=True, eq=False)
class LungBox:
    """grid: HU of the box; mask_DHW: the lungs on that grid, bool."""

    grid: PatientGrid
    mask_DHW: np.ndarray


def lung_box(volume: Volume, spacing_mm: float, margin_mm: float = 8.0) -> LungBox:
    """Resample a volume to isotropic voxels within the box of its lungs and a margin around it.

    A volume of nothing but air gives a box of one voxel whose mask is empty.
    """
    coarse = to_patient_grid(volume, GRID_MM)
    mask = lung_mask(coarse.hu_DHW, (GRID_MM,) * 3)
    if not mask.any():
        corner = to_patient_grid(volume, spacing_mm, coarse.origin_mm, coarse.origin_mm)
        return LungBox(corner, np.zeros(corner.hu_DHW.shape, dtype=bool))
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    low = coarse.to_world(np.array([[s.start for s in found]]))[0] - margin_mm
    high = coarse.to_world(np.array([[s.stop - 1 for s in found]]))[0] + margin_mm
    grid = to_patient_grid(volume, spacing_mm, low, high)
    return LungBox(grid, _nearest(mask, coarse, grid))


def _nearest(mask_DHW: np.ndarray, coarse: PatientGrid, grid: PatientGrid) -> np.ndarray:
    """Read the coarse mask at the voxels of the fine grid."""
    start = coarse.to_index(grid.origin_mm[None])[0]
    for axis, count in enumerate(grid.hu_DHW.shape):
        at = np.rint(start[axis] + np.arange(count) * grid.spacing_mm / coarse.spacing_mm).astype(int)
        mask_DHW = np.take(mask_DHW, np.clip(at, 0, mask_DHW.shape[axis] - 1), axis=axis)
    return mask_DHW
