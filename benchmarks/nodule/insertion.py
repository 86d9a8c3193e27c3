"""Real nodules set into a real lung that holds none like them: truth for measuring what a detector finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.training.specimens import Specimen

PARENCHYMA_HU = (-970.0, -650.0)  # neither an airway nor a vessel
FROM_BORDER_MM = 4.0  # between a nodule's surface and the border of the lungs' mask
APART_MM = 40.0  # between centres: a cube that is judged never holds two
TRIES = 20_000
FROM_KNOWN_MM = 30.0  # from the surface of a tumour that the lung has


@dataclass(frozen=True)
class Known:
    """A sphere in the lung: centre in voxels (d, h, w) of 1 mm, diameter in mm."""

    centre: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class Placed:
    """A specimen and the voxel that its centre meets."""

    specimen: Specimen
    voxel: tuple[int, int, int]


def batches(specimens: Sequence[Specimen], size: int, seed: int) -> Iterator[list[Specimen]]:
    """Shuffle by seed and yield lists of at most `size`."""
    order = np.random.default_rng(seed).permutation(len(specimens))
    for start in range(0, len(order), size):
        yield [specimens[i] for i in order[start : start + size]]


class Sites:
    """Where in a lung nodules can be set in.

    box: voxels of 1 mm. known: tumours to keep away from.
    """

    def __init__(self, box: LungBox, known: Sequence[Known] = ()) -> None:
        low, high = PARENCHYMA_HU
        hu = box.grid.hu_DHW
        self.depth_DHW = ndimage.distance_transform_edt(box.mask_DHW)
        self.places_M3 = np.argwhere((hu > low) & (hu < high) & (self.depth_DHW > FROM_BORDER_MM))
        for tumour in known:
            gap = np.linalg.norm(self.places_M3 - np.array(tumour.centre), axis=1)
            self.places_M3 = self.places_M3[gap > tumour.diameter_mm / 2 + FROM_KNOWN_MM]

    def draw(self, specimens: Sequence[Specimen], seed: Sequence[int]) -> list[Placed]:
        """Give each specimen a position, well apart; raises ValueError where the lung has no space."""
        rng = np.random.default_rng(list(seed))
        placed: list[Placed] = []
        for specimen in sorted(specimens, key=lambda s: -s.diameter_mm):
            radius = float(np.cbrt(specimen.outline_DHW.sum() * 3 / (4 * np.pi)))
            voxel = self._first(rng, radius + FROM_BORDER_MM, [p.voxel for p in placed])
            placed.append(Placed(specimen, voxel))
        return placed

    def _first(
        self, rng: np.random.Generator, depth_mm: float, taken: Sequence[tuple[int, int, int]]
    ) -> tuple[int, int, int]:
        count = len(self.places_M3)
        for index in rng.integers(max(count, 1), size=TRIES if count else 0):
            position = self.places_M3[index]
            d, h, w = (int(v) for v in position)
            if self.depth_DHW[d, h, w] >= depth_mm and all(
                np.linalg.norm(position - np.array(other)) >= APART_MM for other in taken
            ):
                return d, h, w
        raise ValueError(f"no position {depth_mm:.0f} mm deep and {APART_MM:.0f} mm from {len(taken)} others")


def insert(hu_DHW: np.ndarray, placed: Placed) -> tuple[float, float, float]:
    """Blend a specimen into a lung of 1 mm, in place; return its outline's centroid in voxels (d, h, w).

    Within the outline its own voxels count; outside, over the feathered rim, whatever is denser stays.
    """
    specimen = placed.specimen
    corner = np.array(placed.voxel) - np.rint(specimen.centre).astype(int)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + specimen.hu_DHW.shape, hu_DHW.shape)
    into = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    take = tuple(slice(a, b) for a, b in zip(low - corner, high - corner, strict=True))
    change = specimen.hu_DHW[take].astype(np.float32) - hu_DHW[into]
    change = np.where(specimen.outline_DHW[take], change, np.maximum(change, 0))
    hu_DHW[into] += specimen.alpha_DHW[take] * change
    d, h, w = (float(v) for v in corner + specimen.centre)
    return d, h, w
