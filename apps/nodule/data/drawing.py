"""Brushes of the phantom: a grid in millimetres, smooth noise, and tubes drawn in local boxes.

Axes: D slices (z), H rows (y), W columns (x). Points are (z, y, x) mm here, in the order of the axes; z grows
towards the head, y towards the back, x towards the patient's left (LPS).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

_BANK = 96


@dataclass(frozen=True)
class Grid:
    """A regular grid: shape (D, H, W), one spacing mm, and the position (z, y, x) mm of its first voxel."""

    shape: tuple[int, int, int]
    spacing_mm: float
    origin_mm: tuple[float, float, float]

    @property
    def affine(self) -> np.ndarray:
        """Maps (d, h, w, 1) to LPS (x, y, z, 1) mm."""
        affine = np.zeros((4, 4))
        for column, row in enumerate((2, 1, 0)):
            affine[row, column] = self.spacing_mm
            affine[row, 3] = self.origin_mm[column]
        affine[3, 3] = 1
        return affine

    def axes_mm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return z, y, x in mm, shaped to broadcast over (D, H, W)."""
        axes = [
            (o + self.spacing_mm * np.arange(n)).astype(np.float32)
            for o, n in zip(self.origin_mm, self.shape, strict=True)
        ]
        return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]

    def index(self, points_N3: np.ndarray) -> np.ndarray:
        """Return fractional indices of points in mm."""
        return (np.asarray(points_N3, float) - self.origin_mm) / self.spacing_mm

    def box(self, low_mm: np.ndarray, high_mm: np.ndarray) -> tuple[slice, slice, slice] | None:
        """Return the slices that cover a box in mm, or None where it misses the grid."""
        low = np.maximum(np.floor(self.index(low_mm)), 0).astype(int)
        high = np.minimum(np.ceil(self.index(high_mm)) + 1, self.shape).astype(int)
        if (high <= low).any():
            return None
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def coarse(self) -> Grid:
        """Return the grid of twice the spacing whose `upsample2` is this grid (lengths must be odd)."""
        d, h, w = ((n + 1) // 2 for n in self.shape)
        return Grid((d, h, w), 2 * self.spacing_mm, self.origin_mm)


def upsample2(values: np.ndarray) -> np.ndarray:
    """Interpolate linearly to half the spacing along each axis; n values become 2n - 1."""
    for axis in range(values.ndim):
        size = list(values.shape)
        size[axis] = 2 * size[axis] - 1
        out = np.empty(size, values.dtype)
        even, odd = [slice(None)] * values.ndim, [slice(None)] * values.ndim
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        first, second = [slice(None)] * values.ndim, [slice(None)] * values.ndim
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        out[tuple(even)] = values
        middle = out[tuple(odd)]
        np.add(values[tuple(first)], values[tuple(second)], out=middle)
        middle *= 0.5
        values = out
    return values


@lru_cache(maxsize=12)
def _bank(sigma: float) -> np.ndarray:
    noise = np.random.default_rng(20260102).normal(size=(_BANK,) * 3).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3)
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def fine_noise(shape: tuple[int, int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise (mean 0, deviation 1) of a few voxels' scale, cut from a block that repeats every 96."""
    starts = rng.integers(0, _BANK, 3)
    flips = rng.choice([-1, 1], 3)
    cut = [(s + f * np.arange(n)) % _BANK for s, f, n in zip(starts, flips, shape, strict=True)]
    return _bank(round(sigma, 2))[np.ix_(*cut)]


def broad_noise(grid: Grid, scale_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise (mean 0, deviation about 1) that varies over scale_mm, on the grid's shape."""
    step = max(scale_mm / grid.spacing_mm / 1.5, 1.0)
    size = [int(np.ceil(n / step)) + 4 for n in grid.shape]
    seed = rng.normal(size=size).astype(np.float32)
    seed = ndimage.gaussian_filter(seed, 0.8, mode="wrap")
    seed /= seed.std()
    for axis, n in enumerate(grid.shape):
        at = np.arange(n) / step + 1
        low = at.astype(int)
        part = (at - low).astype(np.float32)
        part = part * part * (3 - 2 * part)  # smoothstep hides the lattice
        part = part.reshape([-1 if a == axis else 1 for a in range(3)])
        seed = np.take(seed, low, axis) * (1 - part) + np.take(seed, low + 1, axis) * part
    return seed


def draw_tube(
    cover_DHW: np.ndarray, grid: Grid, points_N3: np.ndarray, radii_mm: np.ndarray, strength: float = 1.0
) -> None:
    """Draw a tapering tube through points into a cover (0..1, kept by maximum), in place.

    radii_mm: (N,), one a point. A tube thinner than 0.6 voxel is drawn at 0.6 voxel with its weight reduced by area.
    """
    floor = 0.6 * grid.spacing_mm
    for a, b, ra, rb in zip(points_N3[:-1], points_N3[1:], radii_mm[:-1], radii_mm[1:], strict=True):
        weight = strength * min(1.0, (0.5 * (ra + rb) / floor) ** 2)
        _draw_cone(cover_DHW, grid, a, b, max(ra, floor), max(rb, floor), weight)


def _draw_cone(
    cover_DHW: np.ndarray, grid: Grid, a: np.ndarray, b: np.ndarray, ra: float, rb: float, weight: float
) -> None:
    reach = max(ra, rb) + grid.spacing_mm
    box = grid.box(np.minimum(a, b) - reach, np.maximum(a, b) + reach)
    if box is None:
        return
    s = grid.spacing_mm
    z, y, x = (
        (np.arange(c.start, c.stop, dtype=np.float32) * s + (o - p)).astype(np.float32)
        for c, o, p in zip(box, grid.origin_mm, a, strict=True)
    )
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    v = (b - a).astype(np.float32)
    t = (z * v[0] + y * v[1] + x * v[2]) * np.float32(1 / max(float(v @ v), 1e-6))
    np.clip(t, 0, 1, out=t)
    far = np.sqrt((z - t * v[0]) ** 2 + (y - t * v[1]) ** 2 + (x - t * v[2]) ** 2)
    cover = (ra + (rb - ra) * t - far) * np.float32(1 / s) + 0.5
    np.clip(cover, 0, 1, out=cover)
    if weight < 1:
        cover *= weight
    part = cover_DHW[box]
    np.maximum(part, cover, out=part)


def smooth_curve(points_N3: np.ndarray, times: int) -> np.ndarray:
    """Return a Catmull-Rom curve through points, each stretch cut into `times` pieces."""
    p = np.vstack([2 * points_N3[0] - points_N3[1], points_N3, 2 * points_N3[-1] - points_N3[-2]])
    t = np.arange(times)[:, None] / times
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack([*pieces, points_N3[-1:]])
