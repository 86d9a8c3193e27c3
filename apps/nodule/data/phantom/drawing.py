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
_CHUNK = 120_000  # voxels computed at once: small enough for the cache


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
        """Return fractional indices of points (N, 3) in mm, both in (z, y, x) order."""
        return (np.asarray(points_N3, float) - self.origin_mm) / self.spacing_mm

    def box(self, low_mm: np.ndarray, high_mm: np.ndarray) -> tuple[slice, slice, slice] | None:
        """Return the slices that cover a box in mm, corners (3,) as z, y, x; None where it misses the grid."""
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


class FineNoise:
    """Smooth noise (mean 0, deviation 1) of a few voxels' scale, cut from a block that repeats every 96 voxels."""

    def __init__(self, sigma: float, rng: np.random.Generator) -> None:
        bank = _bank(round(max(sigma, 0.25), 2))
        starts, flips = rng.integers(0, _BANK, 3), rng.choice([-1, 1], 3)
        cut = [(s + f * np.arange(_BANK)) % _BANK for s, f in zip(starts, flips, strict=True)]
        self._block = np.ascontiguousarray(bank[np.ix_(*cut)])
        self._flat = self._block.reshape(-1)

    def box(self, low: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
        """Return the noise of a box of voxels."""
        out = self._block
        for axis, (a, n) in enumerate(zip(low, shape, strict=True)):
            out = np.take(out, (a + np.arange(n)) % _BANK, axis)
        return out

    def at(self, flat_N: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Return the noise (N,) at flat voxel numbers of a grid of this shape."""
        z, y, x = np.unravel_index(flat_N, shape)
        return self._flat[(z % _BANK * _BANK + y % _BANK) * _BANK + x % _BANK]


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

    radii_mm: (N,), one a point. strength: weight of the whole tube.
    """
    draw_cones(cover_DHW, grid, points_N3[:-1], points_N3[1:], radii_mm[:-1], radii_mm[1:], strength)


def draw_cones(
    cover_DHW: np.ndarray,
    grid: Grid,
    start_K3: np.ndarray,
    end_K3: np.ndarray,
    start_radius_K: np.ndarray,
    end_radius_K: np.ndarray,
    strength: float = 1.0,
) -> None:
    """Draw many tapering tubes, each in its own small box, into a cover (0..1, kept by maximum), in place.

    A tube thinner than 0.6 voxel is drawn at 0.6 voxel with its weight reduced by area. Tubes whose boxes are of one
    size are computed together.
    """
    s, floor = grid.spacing_mm, 0.6 * grid.spacing_mm
    weight = strength * np.minimum(1.0, (0.5 * (start_radius_K + end_radius_K) / floor) ** 2)
    ra, rb = np.maximum(start_radius_K, floor) / s, np.maximum(end_radius_K, floor) / s
    a, b = grid.index(start_K3), grid.index(end_K3)
    reach = np.maximum(ra, rb)[:, None] + 1
    low = np.floor(np.minimum(a, b) - reach).astype(int)
    size = np.ceil(np.maximum(a, b) + reach).astype(int) - low + 1
    size += size % 2
    key = (size[:, 0] * 4096 + size[:, 1]) * 4096 + size[:, 2]
    flat = cover_DHW.reshape(-1)
    for value in np.unique(key):
        same = np.flatnonzero(key == value)
        step = max(int(_CHUNK / size[same[0]].prod()), 1)
        for first in range(0, len(same), step):
            part = same[first : first + step]
            where, cover = _cones(
                grid.shape, low[part], size[same[0]], a[part], b[part], ra[part], rb[part], weight[part]
            )
            np.maximum.at(flat, where, cover)


def _cones(
    shape: tuple[int, int, int],
    low_K3: np.ndarray,
    size: np.ndarray,
    a_K3: np.ndarray,
    b_K3: np.ndarray,
    ra_K: np.ndarray,
    rb_K: np.ndarray,
    weight_K: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return flat voxel numbers and covers (> 0) of K tubes with boxes of one size; all lengths in voxels."""
    inside, gap = [], []
    index = np.zeros((1, 1, 1, 1), int)
    for axis in range(3):
        form = [len(low_K3), 1, 1, 1]
        form[axis + 1] = int(size[axis])
        at = low_K3[:, axis, None] + np.arange(size[axis])
        inside.append(((at >= 0) & (at < shape[axis])).reshape(form))
        gap.append((at - a_K3[:, axis, None]).astype(np.float32).reshape(form))
        index = index * shape[axis] + at.reshape(form)
    v = (b_K3 - a_K3).astype(np.float32)[:, :, None, None, None]
    t = gap[0] * v[:, 0] + gap[1] * v[:, 1] + gap[2] * v[:, 2]
    t *= 1 / np.maximum((v * v).sum(1), 1e-6)
    np.clip(t, 0, 1, out=t)
    far = np.square(gap[0] - t * v[:, 0])
    far += np.square(gap[1] - t * v[:, 1])
    far += np.square(gap[2] - t * v[:, 2])
    t *= (rb_K - ra_K).astype(np.float32).reshape(-1, 1, 1, 1)
    t += (ra_K + 0.5).astype(np.float32).reshape(-1, 1, 1, 1)
    t -= np.sqrt(far)
    hit = (t > 0) & inside[0] & inside[1] & inside[2]
    owner = np.nonzero(hit)[0]
    return index[hit], np.minimum(t[hit], 1) * weight_K[owner].astype(np.float32)


def smooth_curve(points_N3: np.ndarray, times: int) -> np.ndarray:
    """Return a Catmull-Rom curve through points, each stretch cut into `times` pieces: (times (N - 1) + 1, 3)."""
    p = np.vstack([2 * points_N3[0] - points_N3[1], points_N3, 2 * points_N3[-1] - points_N3[-2]])
    t = np.arange(times)[:, None] / times
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack([*pieces, points_N3[-1:]])
