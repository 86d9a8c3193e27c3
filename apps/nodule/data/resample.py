"""Any volume onto a grid along the patient's own axes, with equal spacing: what a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from apps.nodule.data.volume import Volume

AIR_HU = -1024.0


@dataclass(frozen=True, eq=False)
class PatientGrid:
    """HU on an isotropic grid: D runs feet to head (+z), H front to back (+y), W right to left (+x), LPS.

    hu_DHW: float32; spacing_mm: one number; origin_mm: LPS (x, y, z) of voxel (0, 0, 0).
    """

    hu_DHW: np.ndarray
    spacing_mm: float
    origin_mm: np.ndarray

    def to_world(self, index_N3: np.ndarray) -> np.ndarray:
        """Map indices (N, 3) in (d, h, w) order to LPS mm (N, 3)."""
        return np.asarray(index_N3, dtype=float)[:, ::-1] * self.spacing_mm + self.origin_mm

    def to_index(self, world_N3: np.ndarray) -> np.ndarray:
        """Map LPS mm (N, 3) to fractional indices (N, 3) in (d, h, w) order."""
        return ((np.asarray(world_N3, dtype=float) - self.origin_mm) / self.spacing_mm)[:, ::-1]


def bounds_mm(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest LPS corner (3,) of a volume's voxel centres."""
    ends = np.array(volume.hu_DHW.shape) - 1
    corners = np.array(np.meshgrid(*[(0, end) for end in ends], indexing="ij")).reshape(3, -1).T
    world = volume.to_world(corners)
    return world.min(axis=0), world.max(axis=0)


def to_patient_grid(
    volume: Volume, spacing_mm: float, low_mm: np.ndarray | None = None, high_mm: np.ndarray | None = None
) -> PatientGrid:
    """Resample a box of the volume linearly; beyond the volume is air.

    low_mm, high_mm: LPS corners (3,) of the box; the whole volume where None.
    """
    first, last = bounds_mm(volume)
    low = first if low_mm is None else np.maximum(low_mm, first)
    high = last if high_mm is None else np.minimum(high_mm, last)
    shape_xyz = np.maximum(np.floor((high - low) / spacing_mm + 1e-6).astype(int) + 1, 1)
    axes = np.zeros((3, 3))
    axes[[2, 1, 0], [0, 1, 2]] = spacing_mm  # column d steps along z, h along y, w along x
    inverse = np.linalg.inv(volume.affine[:3, :3])
    matrix = inverse @ axes
    offset = inverse @ (low - volume.affine[:3, 3])
    hu_DHW = _sample(volume.hu_DHW, matrix, offset, tuple(shape_xyz[::-1]))
    return PatientGrid(hu_DHW, spacing_mm, low)


def _sample(hu_DHW: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    diagonal = np.diag(np.diag(matrix))
    if np.allclose(matrix, diagonal, atol=1e-6):  # axial, no tilt: three separate 1-D interpolations
        # what grows most comes last, on as few voxels as there may be
        for axis in np.argsort(np.array(shape) / hu_DHW.shape, kind="stable").tolist():
            at = offset[axis] + matrix[axis, axis] * np.arange(shape[axis])
            hu_DHW = _sample_axis(hu_DHW, axis, at)
        return hu_DHW
    return ndimage.affine_transform(
        hu_DHW, matrix, offset, output_shape=shape, output=np.float32, order=1, cval=AIR_HU
    )


def _sample_axis(hu_DHW: np.ndarray, axis: int, at: np.ndarray) -> np.ndarray:
    """Linear interpolation along one axis at fractional indices; the ends hold within half a voxel."""
    last = hu_DHW.shape[axis] - 1
    at = np.clip(at, 0, last)
    left = np.minimum(np.floor(at).astype(int), max(last - 1, 0))
    weight = (at - left).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    low = np.take(hu_DHW, left, axis=axis).astype(np.float32, copy=False)
    high = np.take(hu_DHW, np.minimum(left + 1, last), axis=axis).astype(np.float32, copy=False)
    high -= low
    high *= weight
    low += high
    return low
