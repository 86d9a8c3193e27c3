"""Bones of the phantom's chest, drawn on the fine grid: spine, ribs with cartilage, sternum, clavicles, scapulae.

Cortical bone 600-1000 HU, trabecular bone 120-250 HU, costal cartilage about 110 HU. Axes as in `chest_shape`.
"""

from __future__ import annotations

import numpy as np

from apps.nodule.data.phantom.chest_shape import Build, cage_axes, ring_distance, soft_step, spine_y_at
from apps.nodule.data.phantom.drawing import FineNoise, Grid, draw_tube, smooth_curve

CORTEX, MARROW, CARTILAGE, DISC = 760.0, 170.0, 105.0, 75.0
_LEVEL_MM = 0.098  # height of one thoracic level, as part of the lungs' height


def draw_bones(hu_DHW: np.ndarray, grid: Grid, build: Build, rng: np.random.Generator) -> None:
    """Draw all bones into the volume, (D, H, W) in HU on `grid`, in place."""
    level = _LEVEL_MM * build.height
    phase = float(rng.uniform(0, level))
    _spine(hu_DHW, grid, build, level, phase, rng)
    outer, inner, gristle = (np.zeros(grid.shape, np.float32) for _ in range(3))
    for number in range(1, 13):
        top = 1.03 * build.height - (number - 1) * level - phase * 0.2
        for side in (-1, 1):
            _rib(outer, inner, gristle, grid, build, number, top, side, rng)
    _clavicles(outer, inner, grid, build)
    _scapulae(outer, inner, grid, build)
    _sternum(outer, inner, grid, build)
    flat = hu_DHW.reshape(-1)
    soft = np.flatnonzero(gristle)
    flat[soft] += gristle.reshape(-1)[soft] * (CARTILAGE - flat[soft])
    bone = np.flatnonzero(outer)
    grain = FineNoise(1.2, rng).at(bone, grid.shape)
    matter = CORTEX + inner.ravel()[bone] * (MARROW - CORTEX) + 70 * grain
    flat[bone] += outer.ravel()[bone] * (matter - flat[bone])


def _spine(
    hu_DHW: np.ndarray, grid: Grid, build: Build, level: float, phase: float, rng: np.random.Generator
) -> None:
    low = np.array([grid.origin_mm[0], build.spine_y - 40, -48])
    box = grid.box(low, np.array([1e4, build.spine_y + 95, 48]))
    if box is None:
        return
    z, y, x = (
        a[tuple(c if n > 1 else slice(None) for c, n in zip(box, a.shape, strict=True))]
        for a in grid.axes_mm()
    )
    hu = hu_DHW[box]
    middle = spine_y_at(build, z)
    beat = (z - phase) % level - level / 2  # 0 in the middle of a vertebra
    waist = 1 - 0.12 * np.cos(beat / level * 2 * np.pi)
    ring = ring_distance(y - middle, x, 17 * waist, 14 * waist, 2.3)
    ends = level / 2 - 2.8 - np.abs(beat)
    disc = np.minimum(ring, 3.2 - (level / 2 - np.abs(beat)))
    vertebra = np.minimum(ring, ends)
    _bone(hu, disc, DISC, 1.2)
    grain = FineNoise(1.0, rng).box((0, 0, 0), hu.shape)
    _bone(hu, vertebra, 520 + 60 * grain, 1.2)
    _bone(hu, vertebra - 1.6, MARROW + 55 * grain, 1.5)
    back = middle + 22
    canal = 8.5 - np.hypot(x, y - back)
    arch = np.minimum(3.4 - np.abs(np.hypot(x, y - back) - 11), level * 0.36 - np.abs(beat))
    spinous = np.minimum(
        3.2 - np.abs(x),
        np.minimum(level * 0.3 - np.abs(beat + (y - back - 20) * 0.5), 20 - np.abs(y - back - 24)),
    )
    across = np.minimum(4.6 - np.hypot(beat - 2, y - back + 0.12 * np.abs(x) - 5), 36 - np.abs(x))
    across = np.minimum(across, np.abs(x) - 8)
    processes = np.maximum(arch, np.maximum(spinous, across))
    _bone(hu, processes, 620 + 60 * grain, 1.2)
    _bone(hu, processes - 2, MARROW + 100 + 60 * grain, 1.2)
    _bone(hu, canal, 22.0, 1.2)


def _bone(hu_DHW: np.ndarray, distance: np.ndarray, value: float | np.ndarray, width: float) -> None:
    part = soft_step(distance, width)
    hu_DHW += part * (value - hu_DHW)


def _rib(
    outer: np.ndarray,
    inner: np.ndarray,
    gristle: np.ndarray,
    grid: Grid,
    build: Build,
    number: int,
    top: float,
    side: int,
    rng: np.random.Generator,
) -> None:
    """Draw one rib: from the spine round the cage, falling towards the front; cartilage in front."""
    reach = {1: 0.80, 2: 0.84, 10: 0.68, 11: 0.55, 12: 0.42}.get(number, 0.80)
    turn = np.linspace(0.10, 0.97 if number <= 7 else min(reach + 0.1, 0.92), 34) * np.pi
    drop = (18 + 9 * min(number, 6)) * (1 + 0.06 * rng.normal())
    z = top - drop * (1 - np.cos(turn)) / 2 + 2 * np.sin(2 * turn)
    lift = np.where(turn > reach * np.pi, (turn - reach * np.pi) * 26 * (number > 3), 0)
    z = z + lift
    wide, deep, middle = cage_axes(build, np.clip(z, None, 0.955 * build.height))
    x = side * (wide + 5.2) * np.sin(turn) ** 0.87
    y = middle + (deep + 5.2) * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.87
    start = np.exp(-turn / 0.25)[:, None] * np.array([0.0, 0.0, side * 4.0])
    points = np.stack([z, y, x], 1) + start
    bone = turn <= reach * np.pi
    half = 2.6 if number > 1 else 3.4
    for shift in (-half, half):
        moved = points + np.array([shift, 0.0, 0.0])
        if bone.sum() > 1:
            draw_tube(outer, grid, moved[bone], np.full(int(bone.sum()), 3.9))
            draw_tube(inner, grid, moved[bone], np.full(int(bone.sum()), 2.5))
        if number <= 10 and (~bone).sum() > 1:
            draw_tube(gristle, grid, moved[~bone], np.full(int((~bone).sum()), 4.2))


def _clavicles(outer: np.ndarray, inner: np.ndarray, grid: Grid, build: Build) -> None:
    h, front = build.height, -0.55 * build.half_depth
    for side in (-1, 1):
        knots = np.array([[0.93, 18, 0], [0.96, 45, -8], [1.0, 80, 12], [1.05, 120, 34], [1.1, 165, 44]])
        points = np.stack([knots[:, 0] * h, front + knots[:, 2], side * knots[:, 1]], 1)
        curve = smooth_curve(points, 6)
        draw_tube(outer, grid, curve, np.full(len(curve), 6.2))
        draw_tube(inner, grid, curve, np.full(len(curve), 4.0))


def _scapulae(outer: np.ndarray, inner: np.ndarray, grid: Grid, build: Build) -> None:
    """Draw each scapula as a curved plate with its spine, between tubes laid side by side."""
    for side in (-1, 1):
        for height in np.arange(0.52, 1.04, 0.012):
            z = height * build.height
            grow = np.clip((height - 0.5) / 0.4, 0.05, 1)
            turn = np.linspace(0.26, 0.26 + 0.2 * grow, 5) * np.pi
            wide, deep, middle = cage_axes(build, min(z, 0.80 * build.height))
            x = side * (wide + 21) * np.sin(turn)
            y = middle + (deep + 19) * np.cos(turn)
            points = np.stack([np.full(5, z), y, x], 1)
            thick = np.array([2.6, 1.7, 1.6, 2.0, 4.2])
            draw_tube(outer, grid, points, thick)
            draw_tube(inner, grid, points[-2:], thick[-2:] - 1.2)
        top = 0.93 * build.height
        wide, deep, middle = cage_axes(build, 0.80 * build.height)
        ridge = np.array([[top, middle + deep + 26, side * 70], [top + 8, middle + 40, side * (wide + 45)]])
        draw_tube(outer, grid, ridge, np.array([3.5, 7.0]))
        draw_tube(inner, grid, ridge, np.array([1.5, 5.0]))


def _sternum(outer: np.ndarray, inner: np.ndarray, grid: Grid, build: Build) -> None:
    """Draw manubrium, body and xiphoid as tubes side by side that follow the front of the cage."""
    heights = np.linspace(0.30, 0.90, 16) * build.height
    _, deep, middle = cage_axes(build, heights)
    front = middle - deep - 6
    swell = np.interp(heights / build.height, [0.30, 0.36, 0.7, 0.78, 0.90], [3.0, 4.6, 4.4, 5.2, 6.0])
    spread = np.interp(heights / build.height, [0.30, 0.36, 0.7, 0.78, 0.90], [3, 10, 7, 12, 18])
    for share in np.linspace(-1.3, 1.3, 9):
        points = np.stack([heights, front, share * spread], 1)
        draw_tube(outer, grid, points, swell)
        draw_tube(inner, grid, points, swell - 1.4)
