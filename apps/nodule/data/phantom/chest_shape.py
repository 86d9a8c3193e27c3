"""The large shapes of the phantom's chest as signed distances (mm, inside positive): cage, lungs, mediastinum, wall.

Computed on a coarse grid. z = 0 is the deepest recess of the lungs, x = 0 the middle of the body, y = 0 the middle
of the rib cage; z grows towards the head, y towards the back, x towards the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.nodule.data.phantom.drawing import Grid, broad_noise

AORTA_BEFORE, AORTA_X = 22.0, 21.0  # of the descending aorta: mm before the vertebrae's middle, mm left
Axes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Build:
    """One patient's measures, mm; drawn by `draw_build`."""

    half_width: float
    half_depth: float
    height: float
    fat_side: float
    fat_front: float
    dome_right: float
    dome_left: float
    heart: float
    spine_y: float
    hilum_z: float
    blood_hu: float
    female: bool
    fissure_seed: float
    aorta: float


def draw_build(rng: np.random.Generator) -> Build:
    """Draw the measures of an adult."""
    half_depth = rng.uniform(80, 102)
    height = rng.uniform(215, 262)
    return Build(
        half_width=rng.uniform(116, 140),
        half_depth=half_depth,
        height=height,
        fat_side=rng.uniform(4, 26),
        fat_front=rng.uniform(3, 20),
        dome_right=rng.uniform(48, 72),
        dome_left=rng.uniform(36, 58),
        heart=rng.uniform(0.88, 1.12),
        spine_y=0.56 * half_depth,
        hilum_z=rng.uniform(0.46, 0.54) * height,
        blood_hu=float(rng.uniform(38, 52) if rng.uniform() < 0.6 else rng.uniform(120, 260)),
        female=bool(rng.uniform() < 0.5),
        fissure_seed=rng.uniform(-1, 1),
        aorta=rng.uniform(11, 15),
    )


def cage_axes(build: Build, z: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return half width, half depth and middle (y) of the inner rib cage at height z."""
    t = np.asarray(z, np.float32) / build.height
    top = np.clip((t - 0.45) / 0.585, 0, 0.999)
    width = build.half_width * (1 - 0.05 * np.square(1 - np.clip(t / 0.5, 0, 1))) * (1 - top**2.3) ** 0.5
    depth = build.half_depth * (1 - 0.03 * np.clip(t, 0, 1)) * (1 - top**2.6) ** 0.5
    return width, depth, 0.16 * build.half_depth * np.clip((t - 0.35) / 0.65, 0, 1.2) ** 1.5


def ring_distance(y: np.ndarray, x: np.ndarray, a: np.ndarray, b: np.ndarray, power: float) -> np.ndarray:
    """Return the distance (inside positive) to the superellipse |x/a|^p + |y/b|^p = 1, along the ray, mm."""
    rho = (np.abs(x / a) ** power + np.abs(y / b) ** power) ** np.float32(1 / power)
    rho = np.maximum(rho, 1e-3)
    # the floor gives the very middle its distance too
    return np.maximum(np.hypot(x, y), 1e-3 * np.minimum(a, b)) * (1 / rho - 1)


def blob(axes: Axes, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """Return the rough distance (inside positive) to an ellipsoid, mm; centre and radii as (z, y, x)."""
    z, y, x = ((a - c) / r for a, c, r in zip(axes, centre, radii, strict=True))
    return (1 - np.sqrt(z * z + y * y + x * x)) * np.float32(min(radii))


def soft_max(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Return the maximum with a rounded corner of k mm (a union that flows together)."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.maximum(a, b) + h * h * np.float32(k / 4)


def soft_step(distance: np.ndarray, width_mm: float) -> np.ndarray:
    """Return 0 outside, 1 inside, over width_mm about the surface."""
    return np.clip(0.5 + distance / width_mm, 0, 1)


def cage(build: Build, axes: Axes) -> np.ndarray:
    """Return the inner rib cage."""
    z, y, x = axes
    width, depth, middle = cage_axes(build, z)
    inside = ring_distance(y - middle, x, np.maximum(width, 4), np.maximum(depth, 4), 2.35)
    return np.minimum(inside, (1.01 * build.height - z) * 0.8)


def spine_y_at(build: Build, z: np.ndarray | float) -> np.ndarray:
    """Return y of the middle of the vertebral bodies at heights z, both in mm: a kyphosis of about a centimetre."""
    t = np.asarray(z, np.float32) / build.height
    return build.spine_y + 12 * np.sin(np.pi * np.clip(t, -0.2, 1.2)) - 4


def heart(build: Build, axes: Axes) -> np.ndarray:
    """Return the heart with its pericardium."""
    s, b = build.heart, build.half_depth
    z, y, x = axes
    tilt = (z - 70) * 0.25
    left = blob((z, y, x), (66, -0.22 * b, 30), (50 * s, 47 * s, 50 * s))
    right = blob((z, y, x + tilt), (72, -0.20 * b, -10), (48 * s, 42 * s, 38 * s))
    return soft_max(left, right, 14)


def mediastinum(build: Build, axes: Axes) -> np.ndarray:
    """Return what parts the lungs: heart, great vessels, hila, the tissue before the spine and the junctions."""
    z, y, x = axes
    t, b = z / build.height, build.half_depth
    width = 3 + 25 * np.exp(-(((y + 6) / (0.44 * b)) ** 2)) * np.exp(-(((t - 0.72) / 0.34) ** 2))
    width = width + 9 * np.clip((t - 0.8) / 0.2, 0, 1) * np.exp(-(((y - 8) / 38) ** 2))
    slab = width - np.abs(x - _septum_x(t))
    whole = soft_max(slab, heart(build, axes), 14)
    behind = y - spine_y_at(build, z)
    spread = 17 + 0.55 * (np.hypot(behind - 6, 10) + behind - 6) / 1.6
    spine = -soft_max(np.abs(x) - spread, -(behind + 20) * np.float32(0.9), 22)
    whole = soft_max(whole, spine, 7)
    thoracic = build.aorta + 2 - np.hypot(x - AORTA_X, y - spine_y_at(build, z) + AORTA_BEFORE)
    below_arch = (0.70 * build.height - z) * 0.7
    whole = soft_max(whole, np.minimum(thoracic, below_arch), 6)
    arch = blob(axes, (0.70 * build.height, 8, 20), (16, 34, 19))
    whole = soft_max(whole, arch, 10)
    for side, lift in ((-1, 0.0), (1, 8.0)):
        hilum = blob(axes, (build.hilum_z + lift, 4, side * 34), (24, 19, 17))
        whole = soft_max(whole, hilum, 12)
    return whole


def diaphragm_z(build: Build, axes: Axes) -> np.ndarray:
    """Return the height of the diaphragm (1, H, W): two domes, deep behind, shallow in front."""
    _, y, x = axes
    a, b = build.half_width, build.half_depth
    sheets = []
    for side, dome in ((-1, build.dome_right), (1, build.dome_left)):
        q = ((x - side * 0.46 * a) / (0.72 * a)) ** 2 + ((y + 0.22 * b) / (1.36 * b)) ** 2 * (
            1 + 0.6 * (y > -0.22 * b)
        )
        sheets.append(np.float32(dome) * (1.04 - q))
    return np.maximum(sheets[0], sheets[1])


def lungs(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return both lungs."""
    axes = grid.axes_mm()
    z, _, x = axes
    above = (z - diaphragm_z(build, axes)) * np.float32(0.85)
    inside = np.minimum(cage(build, axes), above)
    outside = mediastinum(build, axes)
    both = -soft_max(-inside, outside, 5)
    wobble = 1.1 * broad_noise(grid, 22, rng) + 0.5 * broad_noise(grid, 9, rng)
    septum = np.abs(x - _septum_x(z / build.height)) - np.float32(2.2)  # the lungs never join
    return np.minimum(both + wobble, septum)


def _septum_x(t: np.ndarray) -> np.ndarray:
    return 2 + 3 * np.sin(6 * t)


def fissures(build: Build, grid: Grid, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the signed heights over the oblique fissures (both lungs) and the horizontal one (right lung), mm."""
    z, y, x = grid.axes_mm()
    h, b = build.height, build.half_depth
    warp = 5 * broad_noise(grid, 60, rng) + 0.6 * broad_noise(grid, 12, rng)
    # from high at the back to low in front
    rise = 0.52 * h + (y / b) * 0.40 * h + 6 * build.fissure_seed + 8 * np.abs(x) / build.half_width
    oblique = (z - rise + np.where(x < 0, 8, 0)) * np.float32(0.72) + warp
    horizontal = z - (0.50 * h + 0.06 * (y + b)) + warp
    return oblique.astype(np.float32), horizontal.astype(np.float32)


def lobe_labels(
    lung_DHW: np.ndarray, oblique: np.ndarray, horizontal: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return 1 right upper, 2 middle, 3 right lower, 4 left upper, 5 left lower lobe, 0 elsewhere; uint8, (D, H, W).

    lung_DHW: bool. oblique, horizontal: signed heights over the fissures, mm, as `fissures` returns them. x: mm, below
    0 on the right. All broadcast over (D, H, W).
    """
    right = x < 0
    label = np.where(oblique < 0, np.where(right, 3, 5), np.where(right, np.where(horizontal < 0, 2, 1), 4))
    return np.where(lung_DHW, label, 0).astype(np.uint8)


def body(build: Build, axes: Axes) -> np.ndarray:
    """Return the body within its skin: an oval that follows cage, fat and shoulders."""
    z, y, x = axes
    t = z / build.height
    shoulders = np.clip((t - 0.72) / 0.28, 0, 1.3) ** 1.5
    wide = build.half_width + 20 + build.fat_side + 26 * shoulders
    deep = build.half_depth + 19 + 0.6 * build.fat_front - 8 * shoulders
    oval = ring_distance(y - 4 - 6 * shoulders, x, wide, deep, 2.25)
    groove = 9 * np.exp(-((x / 16) ** 2)) * (y > 0) + 4 * np.exp(-((x / 30) ** 2)) * (y < 0)
    whole = oval - groove
    if build.female:
        for side in (-1, 1):
            breast = blob(axes, (0.42 * build.height, -build.half_depth - 14, side * 72), (52, 34, 54))
            whole = soft_max(whole, breast, 16)
    return whole
