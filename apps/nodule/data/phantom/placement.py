"""Where nodules sit in a lung: alone, at the pleura, or on a vessel.

Axes: D slices (z), H rows (y), W columns (x); spacing_mm is (z, y, x) here, in the order of the axes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

PLACEMENTS = ("isolated", "juxta_pleural", "vessel_attached")
PLACEMENT_SHARES = (0.45, 0.3, 0.25)
Spacing = tuple[float, float, float]


def draw_placement(rng: np.random.Generator) -> str:
    """Draw a placement with the shares seen in screening."""
    return str(rng.choice(PLACEMENTS, p=PLACEMENT_SHARES))


class Sites:
    """Finds voxels for nodules, given a lung mask and (or not) a mask of vessels and airways.

    lung_DHW, vessel_DHW: bool, one grid. Distances are measured once, on a grid of about 2 mm, so that whole lungs
    take a fraction of a second.
    """

    def __init__(self, lung_DHW: np.ndarray, vessel_DHW: np.ndarray | None, spacing_mm: Spacing) -> None:
        self._spacing = np.asarray(spacing_mm, float)
        self._step = np.maximum(np.rint(2.0 / self._spacing), 1).astype(int)
        self._shape = np.array(lung_DHW.shape)
        self._lung = lung_DHW
        coarse = tuple(slice(None, None, s) for s in self._step)
        lung = lung_DHW[coarse]
        boxes = ndimage.find_objects(lung.astype(np.uint8))
        if not boxes:
            raise ValueError("the lung mask is empty")
        self._low = np.array([b.start for b in boxes[0]])
        lung = np.pad(lung[boxes[0]], 1)
        sampling = self._spacing * self._step
        inner = (slice(1, -1),) * 3
        self._depth_mm = ndimage.distance_transform_edt(lung, sampling=sampling)[inner].astype(np.float32)
        self._vessel_mm: np.ndarray | None = None
        if vessel_DHW is not None:
            vessel = self._thick(vessel_DHW)[boxes[0]]
            if vessel.any():
                self._vessel_mm = ndimage.distance_transform_edt(~vessel, sampling=sampling).astype(
                    np.float32
                )

    def _thick(self, mask_DHW: np.ndarray) -> np.ndarray:
        """Coarsen without losing thin vessels: a coarse voxel is set where any of its fine voxels is."""
        pad = -self._shape % self._step
        full = np.pad(mask_DHW, [(0, int(p)) for p in pad])
        shape = [
            int(n) for pair in zip(np.array(full.shape) // self._step, self._step, strict=True) for n in pair
        ]
        return np.asarray(full.reshape(shape).any((1, 3, 5)))

    def pick(
        self,
        placement: str,
        diameter_mm: float,
        rng: np.random.Generator,
        away_from: list[tuple[np.ndarray, float]] | None = None,
    ) -> tuple[int, int, int] | None:
        """Return a voxel for a nodule's middle, or None where the lung has no such position.

        away_from: (voxel, distance in mm) pairs to keep clear of, such as nodules already there. Raises ValueError for
        a placement that is none of PLACEMENTS.
        """
        if placement not in PLACEMENTS:
            raise ValueError(f"placement is {placement!r}, wanted one of {', '.join(PLACEMENTS)}")
        fit = self._candidates(placement, diameter_mm / 2)
        flat = np.flatnonzero(fit)
        for _ in range(40):
            if not len(flat):
                return None
            spot = np.unravel_index(int(flat[rng.integers(len(flat))]), fit.shape)
            voxel = (np.array(spot) + self._low) * self._step + rng.integers(0, self._step)
            voxel = np.minimum(voxel, self._shape - 1)
            gaps = [np.linalg.norm((voxel - v) * self._spacing) - d for v, d in away_from or []]
            z, y, x = (int(n) for n in voxel)
            if self._lung[z, y, x] and (not gaps or min(gaps) > 0):
                return z, y, x
        return None

    def _candidates(self, placement: str, radius: float) -> np.ndarray:
        depth, vessel = self._depth_mm, self._vessel_mm
        if placement == "juxta_pleural":
            # the middle lies inside by 0.3 to 1.0 radius, and at least a voxel: the pleura cuts or touches it
            return (depth >= max(0.3 * radius, 1.0)) & (depth <= max(radius, 3.2))
        deep = depth > radius + 2.0
        if vessel is None:
            return deep if placement == "isolated" else np.zeros_like(deep)
        if placement == "vessel_attached":
            return deep & (vessel >= 0.4 * radius) & (vessel <= radius + 0.8)
        alone = deep & (vessel > radius + 1.5)
        return alone if alone.any() else deep & (vessel > 0.6 * radius)
