"""Soft tissue of the phantom's chest, as HU on the coarse grid: fat, muscle, heart, vessels, abdomen.

HU as in textbooks of CT: fat -100, muscle 55, unenhanced blood 45, liver 58, skin 40.
Axes as in `chest_shape`.
"""

from __future__ import annotations

import numpy as np

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom.chest_shape import Build, blob, soft_step
from apps.nodule.data.phantom.drawing import Grid, broad_noise

FAT, MUSCLE, SKIN, AIR = -102.0, 55.0, 30.0, -1000.0


def _paint(hu: np.ndarray, distance: np.ndarray, value: float | np.ndarray, width_mm: float) -> np.ndarray:
    part = soft_step(distance, width_mm)
    return hu + part * (value - hu)


def chest_wall(build: Build, grid: Grid, cage: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return fat with the muscles around the cage, HU (D, H, W).

    cage: (D, H, W), mm from the outside of the rib cage, above 0 within it.
    """
    z, y, x = grid.axes_mm()
    t = z / build.height
    outward = -cage
    side = np.exp(-(((np.abs(x) - build.half_width) / 60) ** 2)) * np.clip(t * 2, 0.4, 1.2)
    back = 1 / (1 + np.exp(-(y - 0.35 * build.half_depth) / 8))
    spine = back * np.exp(-((x / 50) ** 2))
    breast = (1 - back) * np.clip((t - 0.35) / 0.3, 0, 1) * np.clip((np.abs(x) - 15) / 25, 0, 1)
    thick = (
        11
        + 24 * spine
        + 9 * side
        + 10 * breast * (1 - 0.5 * build.female)
        + 16 * back * np.clip(t - 0.5, 0, 1)
    )
    layers = broad_noise(grid, 14, rng) + 0.8 * np.sin(outward * 0.55 + 2 * broad_noise(grid, 40, rng))
    streak = np.where(outward > 9, np.clip((layers - 1.15) * 1.2, 0, 0.8), 0)
    muscle = soft_step(thick - outward + 1.5 * broad_noise(grid, 18, rng), 3) * (1 - streak)
    hu = FAT + 6 * broad_noise(grid, 8, rng) + muscle * (MUSCLE - FAT)
    extrapleural = soft_step(0.8 - np.abs(outward - 1.8), 2)
    return hu + 0.35 * extrapleural * (FAT - hu)


def inner_organs(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return what lies within the cage beside the lungs, HU: mediastinal fat, heart, great vessels, abdomen."""
    axes = grid.axes_mm()
    z, y, x = axes
    h, blood = build.height, build.blood_hu
    hu = np.full(grid.shape, FAT + 12, np.float32) + 14 * broad_noise(grid, 10, rng)
    heart = form.heart(build, axes)
    hu = _paint(hu, heart, 50.0, 2)
    hu = _paint(hu, heart - 3, FAT + 15, 2)
    hu = _paint(hu, heart - 6.5 - 2 * broad_noise(grid, 20, rng), 52.0, 2)
    chambers = heart - 17 - 3 * broad_noise(grid, 25, rng)
    hu = _paint(hu, chambers, blood, 4)
    hu = _great_vessels(hu, build, axes)
    gullet = 7 - np.hypot(x - 6, (y - form.spine_y_at(build, z) + 24) * 1.3)
    hu = _paint(hu, gullet, 38.0, 2)
    hu = _paint(hu, np.minimum(gullet - 4.5, 3 * np.sin(z / 17)), -700.0, 3)
    below = form.diaphragm_z(build, axes) - z
    hu = _paint(hu, below, 48.0, 2)
    hu = _paint(hu, below - 3, _abdomen(build, grid, rng), 2)
    thyroid = blob(axes, (h + 18, -6, 0), (18, 12, 26))
    return _paint(hu, thyroid, 90.0, 2)


def _great_vessels(hu: np.ndarray, build: Build, axes: form.Axes) -> np.ndarray:
    z, y, x = axes
    h, blood, a = build.height, build.blood_hu, build.aorta
    arch_z = 0.70 * h
    descending = np.minimum(
        a - np.hypot(x - form.AORTA_X, y - form.spine_y_at(build, z) + form.AORTA_BEFORE), arch_z - z
    )
    ascending = np.minimum(a + 3 - np.hypot(x + 14, y + 18), np.minimum(arch_z - z, z - 0.42 * h))
    side = (x - 3) * 0.8 - (y - 2) * 0.6  # the arch runs from front right to back left
    arch = np.where(np.abs(side) < 17, a - 1 - np.hypot(z - arch_z, side), -5)
    arch = np.minimum(arch, 36 - np.hypot(x - 3, y - 2))
    trunk = a + 1 - np.sqrt(((z - 0.55 * h) / 1.2) ** 2 + (y + 20) ** 2 + ((x - 14) / 1.5) ** 2)
    right_branch = np.where(np.abs(x) < 42, 9 - np.hypot(z - build.hilum_z - 8, y + 4), -5)
    cava = np.minimum(9 - np.hypot(x + 27, y + 6), z - 0.42 * h)
    rings = ((-20, -4, 6), (6, -2, 4), (20, 8, 5), (-30, -14, 7), (28, -16, 6))
    necks = np.stack([r - np.hypot(x - cx, y - cy) for cx, cy, r in rings]).max(0)
    necks = np.minimum(necks, z - arch_z)
    for part in (descending, ascending, arch, trunk, right_branch, cava, necks):
        hu = _paint(hu, part, blood, 2)
    return hu


def _abdomen(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    axes = grid.axes_mm()
    _, y, x = axes
    enhanced = build.blood_hu > 100
    hu = np.full(grid.shape, FAT + 8, np.float32)
    liver = blob(axes, (-10, -12, -52), (90, 86, 98))
    hu = _paint(hu, liver, 95.0 if enhanced else 58.0, 2)
    hu = hu + 6 * broad_noise(grid, 7, rng)
    spleen = blob(axes, (0, 44, 86), (50, 40, 34))
    stomach = blob(axes, (5, -22, 62), (48, 46, 40))
    hu = _paint(hu, spleen, 100.0 if enhanced else 50.0, 2)
    hu = _paint(hu, stomach, 25.0, 2)
    return _paint(hu, np.minimum(stomach - 4, -y - 34 + 0 * x), -980.0, 2)


def soft_tissue(build: Build, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return the whole body without lungs and bones, HU; air around it, and the table below it."""
    axes = grid.axes_mm()
    cage, skin = form.cage(build, axes), form.body(build, axes)
    hu = chest_wall(build, grid, cage, rng)
    hu = _paint(hu, cage - 1.5, inner_organs(build, grid, rng), 2)
    hu = _paint(hu, 2.2 - np.abs(skin - 1.5), SKIN, 2)
    hu = AIR + soft_step(skin, 2) * (hu - AIR)
    return _table(hu, build, axes)


def _table(hu: np.ndarray, build: Build, axes: form.Axes) -> np.ndarray:
    _, y, x = axes
    bend = 34 * (x / 190) ** 2
    top = build.half_depth + 32 + 0.6 * build.fat_front
    shell = 1.6 - np.abs(y + bend - top)
    pad = 6 - np.abs(y + bend - top - 8)
    hu = np.maximum(hu, AIR + 60 * soft_step(pad, 2))
    return np.maximum(hu, AIR + 800 * soft_step(shell, 2) * np.ones_like(hu))


def nodes(build: Build, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """Return lymph nodes (centre (z, y, x), radius mm) at the hila and along the trachea."""
    lymph_nodes = []
    for _ in range(int(rng.integers(6, 16))):
        side = rng.choice([-1.0, 1.0])
        if rng.uniform() < 0.6:
            centre = np.array(
                [build.hilum_z + rng.normal(0, 14), 4 + rng.normal(0, 9), side * rng.uniform(34, 52)]
            )
        else:
            centre = np.array(
                [build.hilum_z + rng.uniform(5, 60), 2 + rng.normal(0, 9), side * rng.uniform(10, 24)]
            )
        lymph_nodes.append((centre, float(rng.uniform(3, 7.5))))
    return lymph_nodes
