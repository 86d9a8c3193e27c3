"""What fills the phantom's lungs besides vessels and airways: parenchyma, and the changes that mislead a detector.

Parenchyma about -880 HU with a gradient towards the back (a supine patient), emphysema, scars, plates of atelectasis,
caps, plaques. Axes as in `chest_shape`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from apps.nodule.data.phantom.chest_shape import Build
from apps.nodule.data.phantom.drawing import FineNoise, Grid, broad_noise, draw_tube, smooth_curve


def parenchyma(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return the broad part of the lung's HU, on the coarse grid: level, gravity, patches, emphysema."""
    z, y, _ = grid.axes_mm()
    level = rng.uniform(-905, -845)
    steep = rng.uniform(15, 55)
    hu = level + steep * (y / build.half_depth) + rng.uniform(0, 25) * (0.5 - z / build.height)
    hu = hu + 11 * broad_noise(grid, 30, rng) + 9 * broad_noise(grid, 10, rng)
    basal = np.clip((y - 0.45 * build.half_depth) / 40, 0, 1) * np.clip(1 - z / (0.6 * build.height), 0, 1)
    hu = hu + rng.uniform(0, 110) * basal * (1 + 0.5 * broad_noise(grid, 14, rng))
    if rng.uniform() < 0.45:
        upper = np.clip(0.2 + 1.1 * z / build.height, 0, 1)
        holes = np.clip((broad_noise(grid, 7, rng) - rng.uniform(0.6, 1.5)) * 1.5, 0, 1)
        hu = hu - rng.uniform(40, 100) * holes * upper
    return hu.astype(np.float32)


class Grain:
    """The fine structure below the drawn vessels' size (lobules, smallest vessels), HU."""

    def __init__(self, spacing_mm: float, rng: np.random.Generator) -> None:
        self._lobules = FineNoise(2.2 / spacing_mm, rng)
        self._vessels = FineNoise(0.9 / spacing_mm, rng)
        self._deviation = np.float32(rng.uniform(8, 15)), np.float32(rng.uniform(12, 22))

    def box(self, low: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
        """Return the grain of a box of voxels."""
        lobules, vessels = self._deviation
        return lobules * self._lobules.box(low, shape) + vessels * self._vessels.box(low, shape)


def surface_points(lung_DHW: np.ndarray, grid: Grid) -> np.ndarray:
    """Return points (N, 3) mm on the inside of the lungs' surface."""
    rim = lung_DHW & ~ndimage.binary_erosion(lung_DHW)
    return np.argwhere(rim) * grid.spacing_mm + np.array(grid.origin_mm)


def scars(
    cover_DHW: np.ndarray, grid: Grid, surface_N3: np.ndarray, build: Build, rng: np.random.Generator
) -> None:
    """Draw scars and parenchymal bands: short bent strands from the pleura inwards, in place.

    cover_DHW: share of each voxel that is covered, 0 to 1. surface_N3: points of the pleura, mm.
    """
    middle = np.array([build.hilum_z, 0, 0])
    for _ in range(int(rng.integers(2, 9))):
        start = surface_N3[rng.integers(len(surface_N3))]
        inward = middle + np.array([0.0, 0.0, np.sign(start[2]) * 50]) - start
        inward = inward / np.linalg.norm(inward) + 0.5 * rng.normal(size=3)
        length = rng.uniform(8, 28)
        knots = start + np.linspace(0, 1, 4)[:, None] * inward * length + rng.normal(0, 1.6, (4, 3))
        curve = smooth_curve(knots, 4)
        widths = np.linspace(rng.uniform(0.8, 1.8), 0.5, len(curve)) * rng.uniform(0.7, 1.3, len(curve))
        draw_tube(cover_DHW, grid, curve, widths, float(rng.uniform(0.5, 1)))


def plates(
    cover_DHW: np.ndarray, grid: Grid, surface_N3: np.ndarray, build: Build, rng: np.random.Generator
) -> None:
    """Draw plates of atelectasis in the lower half of the lungs: thin, slightly bent discs, in place.

    cover_DHW: share of each voxel that is covered, 0 to 1. surface_N3: points of the pleura, mm.
    """
    low = surface_N3[surface_N3[:, 0] < 0.45 * build.height]
    for _ in range(int(rng.integers(0, 5))):
        centre = low[rng.integers(len(low))] + rng.normal(0, 6, 3)
        disc(cover_DHW, grid, centre, rng.uniform(8, 26), rng.uniform(0.6, 1.7), rng)


def disc(
    cover_DHW: np.ndarray,
    grid: Grid,
    centre: np.ndarray,
    radius: float,
    half: float,
    rng: np.random.Generator,
) -> None:
    """Draw a bent disc of a radius and half thickness (mm), nearly horizontal, in place."""
    box = grid.box(centre - radius, centre + radius)
    if box is None:
        return
    z, y, x = (
        a[tuple(c if n > 1 else slice(None) for c, n in zip(box, a.shape, strict=True))]
        for a in grid.axes_mm()
    )
    z, y, x = z - centre[0], y - centre[1], x - centre[2]
    slope = rng.normal(0, 0.45, 2)
    bend = rng.normal(0, 0.006)
    height = z - slope[0] * y - slope[1] * x - bend * (y * y + x * x)
    height = height / np.sqrt(1 + slope @ slope)
    spread = radius - np.hypot(y / rng.uniform(0.3, 1), x) - 0.2 * np.abs(z)
    cover = np.clip((half - np.abs(height)) / grid.spacing_mm + 0.5, 0, 1) * np.clip(spread / 4, 0, 1)
    np.maximum(cover_DHW[box], cover, out=cover_DHW[box])


def pleura_growth(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return how far tissue grows into the lung from the pleura, mm, on the coarse grid: caps and plaques."""
    z, y, x = grid.axes_mm()
    cap = np.clip((z / build.height - 0.90) / 0.08, 0, 1) * rng.uniform(0, 5) * (rng.uniform() < 0.5)
    patchy = np.clip(broad_noise(grid, 12, rng), -0.5, 2)
    growth = cap * (0.6 + 0.5 * patchy) + 0 * x
    if rng.uniform() < 0.4:
        lateral = np.clip((np.hypot(x / build.half_width, y / build.half_depth) - 0.8) / 0.1, 0, 1)
        growth = growth + rng.uniform(1, 4) * np.clip(broad_noise(grid, 26, rng) - 1.2, 0, 1) * lateral
    return np.asarray(growth, np.float32)
