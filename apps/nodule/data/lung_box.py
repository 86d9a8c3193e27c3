"""The box around the lungs, resampled: located on a coarse grid, cut from the fine one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from apps.nodule.data.lungs import GRID_MM, Lungs, find_lungs
from apps.nodule.data.resample import PatientGrid, to_patient_grid
from apps.nodule.data.volume import Volume

MARGIN_MM = 8.0


@dataclass(frozen=True, eq=False)
class LungBox:
    """grid: HU of the box; mask_DHW: the lungs on that grid, bool."""

    grid: PatientGrid
    mask_DHW: np.ndarray


@dataclass(frozen=True, eq=False)
class Located:
    """The lungs of a volume on a coarse grid (GRID_MM) of the whole volume."""

    volume: Volume
    coarse: PatientGrid
    lungs: Lungs

    def fine(self, spacing_mm: float) -> LungBox:
        """Resample the box of the lungs and 8 mm around it to isotropic voxels.

        Without lungs the box is one voxel whose mask is empty.
        """
        mask = self.lungs.closed()
        if not mask.any():
            corner = to_patient_grid(self.volume, spacing_mm, self.coarse.origin_mm, self.coarse.origin_mm)
            return LungBox(corner, np.zeros(corner.hu_DHW.shape, dtype=bool))
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        low = self.coarse.to_world(np.array([[s.start for s in box]]))[0] - MARGIN_MM
        high = self.coarse.to_world(np.array([[s.stop - 1 for s in box]]))[0] + MARGIN_MM
        grid = to_patient_grid(self.volume, spacing_mm, low, high)
        return LungBox(grid, _nearest(mask, self.coarse, grid))

    def wide(self, closing_mm: float) -> LungBox:
        """Return the coarse grid with the lungs closed over what is up to twice `closing_mm` wide."""
        return LungBox(self.coarse, self.lungs.closed(closing_mm))


def locate_lungs(volume: Volume) -> Located:
    """Find the lungs of a volume."""
    coarse = to_patient_grid(volume, GRID_MM)
    return Located(volume, coarse, find_lungs(coarse.hu_DHW, (GRID_MM,) * 3))


def lung_box(volume: Volume, spacing_mm: float) -> LungBox:
    """Resample a volume to isotropic voxels within the box of its lungs and a margin around it."""
    return locate_lungs(volume).fine(spacing_mm)


def _nearest(mask_DHW: np.ndarray, coarse: PatientGrid, grid: PatientGrid) -> np.ndarray:
    """Read the coarse mask at the voxels of the fine grid."""
    start = coarse.to_index(grid.origin_mm[None])[0]
    for axis, count in enumerate(grid.hu_DHW.shape):
        at = np.rint(start[axis] + np.arange(count) * grid.spacing_mm / coarse.spacing_mm).astype(int)
        mask_DHW = np.take(mask_DHW, np.clip(at, 0, mask_DHW.shape[axis] - 1), axis=axis)
    return mask_DHW
