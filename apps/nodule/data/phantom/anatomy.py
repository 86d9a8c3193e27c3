"""A whole chest without noise, made from a seed: what a perfect scanner would see.

Body, lungs with fissures, bronchi, arteries and veins, bones, heart and great vessels, and the changes that real
detectors trip over (scars, plates, caps, plaques, lymph nodes, mucus). It holds no nodule.
Axes: D slices (z, towards the head), H rows (y, towards the back), W columns (x, towards the left).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom import lung_matter
from apps.nodule.data.phantom.bones import draw_bones
from apps.nodule.data.phantom.chest_shape import Build
from apps.nodule.data.phantom.drawing import Grid, draw_tube, smooth_curve, upsample2
from apps.nodule.data.phantom.tissue import nodes, soft_tissue
from apps.nodule.data.phantom.trees import Tree, draw_bronchi, draw_tree, grow, spread_points

VESSEL, AIRWAY = 1, 2
_SLAB = 16
_FISSURE_MM = np.float32(0.45)  # half a fissure's thickness
_EXTENT_MM = (325.0, 276.0, 372.0)
_LOW_MM = (-22.0, -138.0, -186.0)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A chest without noise.

    hu_DHW: int16. lung_DHW: float16 0..1, covered part, vessels included. label_DHW: uint8, 1 vessel, 2 airway, within
    the lungs. affine: (d, h, w, 1) to LPS mm. spacing_mm: the same along each axis.
    """

    hu_DHW: np.ndarray
    lung_DHW: np.ndarray
    label_DHW: np.ndarray
    affine: np.ndarray
    spacing_mm: float

    @property
    def lung_mask_DHW(self) -> np.ndarray:
        """The lungs, vessels included, bool."""
        return self.lung_DHW > 0.5


@dataclass(frozen=True, eq=False)
class _Covers:
    """0..1 on the fine grid: what is drawn into the lungs."""

    vessel: np.ndarray
    wall: np.ndarray
    lumen: np.ndarray
    scar: np.ndarray


def make_chest(seed: int, spacing_mm: float = 1.0) -> Anatomy:
    """Make the chest of one imagined patient; the same seed gives the same bytes.

    spacing_mm: of the cubic grid; 1 mm takes seconds, 2 mm about a sixth of that (thin vessels are then too pale).
    """
    rng = np.random.default_rng([seed, 1])
    build = form.draw_build(rng)
    grid = _grid(spacing_mm)
    coarse = grid.coarse()
    lung = form.lungs(build, coarse, rng) - lung_matter.pleura_growth(build, coarse, rng)
    hu = upsample2(soft_tissue(build, coarse, rng).astype(np.float32))
    draw_bones(hu, grid, build, rng)
    oblique, horizontal = form.fissures(build, coarse, rng)
    covers = _draw_inner(build, grid, coarse, lung, oblique, horizontal, rng)
    cover = np.clip(upsample2(lung.astype(np.float32)) / np.float32(spacing_mm) + np.float32(0.5), 0, 1)
    _fill_lungs(hu, cover, build, grid, coarse, (oblique, horizontal), rng)
    add_nodes(hu, grid, build, cover, rng)
    _composite(hu, covers, build, rng)
    label = np.where(cover > 0.5, _labels(covers), 0).astype(np.uint8)
    final = np.rint(np.clip(hu, -1024, 3071)).astype(np.int16)
    return Anatomy(final, cover.astype(np.float16), label, grid.affine, spacing_mm)


def _grid(spacing_mm: float) -> Grid:
    d, h, w = (2 * int(np.ceil(n / spacing_mm / 2)) + 1 for n in _EXTENT_MM)
    return Grid((d, h, w), spacing_mm, _LOW_MM)


def _draw_inner(
    build: Build,
    grid: Grid,
    coarse: Grid,
    lung: np.ndarray,
    oblique: np.ndarray,
    horizontal: np.ndarray,
    rng: np.random.Generator,
) -> _Covers:
    inside = lung > 2.5
    lobes = form.lobe_labels(inside, oblique, horizontal, coarse.axes_mm()[2])
    clear = (np.abs(oblique) > 3.5) & ((np.abs(horizontal) > 3.5) | (lobes == 3) | (lobes > 3))
    covers = _Covers(*(np.zeros(grid.shape, np.float32) for _ in range(4)))
    plug_share = float(rng.choice([0.0, 0.0, 0.03, 0.10]))
    for lobe in range(1, 6):
        mask = (lobes == lobe) & clear
        if mask.sum() < 2000 // coarse.spacing_mm**3:
            continue
        artery = _lobe_tree(mask, coarse, build, lobe, (6.0, -4.0), 8.8, rng)
        draw_tree(covers.vessel, grid, artery)
        vein = _lobe_tree(mask, coarse, build, lobe, (-14.0, -12.0), 9.2, rng)
        draw_tree(covers.vessel, grid, vein)
        beside = np.array([0.25, 0.8, -0.5 if lobe <= 3 else 0.5]) + rng.normal(0, 0.15, 3)
        draw_bronchi(
            covers.wall, covers.lumen, grid, artery, beside / np.linalg.norm(beside), rng, plug_share
        )
    _main_airways(covers, grid, build)
    surface = lung_matter.surface_points(lung > 0, coarse)
    lung_matter.scars(covers.scar, grid, surface, build, rng)
    lung_matter.plates(covers.scar, grid, surface, build, rng)
    return covers


def _lobe_tree(
    mask: np.ndarray,
    coarse: Grid,
    build: Build,
    lobe: int,
    lift_back: tuple[float, float],
    gap_mm: float,
    rng: np.random.Generator,
) -> Tree:
    side = -1 if lobe <= 3 else 1
    rise = {1: 12.0, 2: -8.0, 3: -12.0, 4: 14.0, 5: -6.0}[lobe]
    root = np.array([build.hilum_z + rise + lift_back[0], 4 + lift_back[1], side * 36.0])
    tips = spread_points(mask, coarse, gap_mm * rng.uniform(0.92, 1.08), rng)
    return grow(root, tips, float(rng.uniform(0.30, 0.40)), rng)


def _main_airways(covers: _Covers, grid: Grid, build: Build) -> None:
    """Draw the trachea and the main bronchi down to the lobes."""
    fork = np.array([build.hilum_z + 22, 8.0, -2.0])
    trachea = np.array([[1.3 * build.height, -2, 0], [build.hilum_z + 70, 2, 0], fork])
    paths = [(trachea, 9.0)]
    for side, low in ((-1, -6.0), (1, -2.0)):
        hilum = np.array([build.hilum_z + low, 8.0, side * 38.0])
        paths.append((np.array([fork, 0.5 * (fork + hilum) + [2, 0, 0], hilum]), 6.6))
    for knots, radius in paths:
        curve = smooth_curve(knots, 8)
        draw_tube(covers.wall, grid, curve, np.full(len(curve), radius + 1.3))
        draw_tube(covers.lumen, grid, curve, np.full(len(curve), radius))


def _fill_lungs(
    hu: np.ndarray,
    cover: np.ndarray,
    build: Build,
    grid: Grid,
    coarse: Grid,
    fissures: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Lay parenchyma with its fissures into the lungs, in place; slab by slab, which keeps to the cache."""
    broad = lung_matter.parenchyma(build, coarse, rng)
    grain = lung_matter.Grain(grid.spacing_mm, rng)
    fissure_hu = np.float32(rng.uniform(90, 260))
    left = grid.axes_mm()[2] >= 0
    used = np.flatnonzero(cover.any((0, 2)))
    rows = slice(used[0] // 2 * 2, used[-1] // 2 * 2 + 3)
    thin_rows = slice(rows.start // 2, rows.stop // 2 + 1)
    for low in range(0, grid.shape[0] - 1, _SLAB):
        thin = slice(low // 2, min(low // 2 + _SLAB // 2 + 1, coarse.shape[0]))
        matter, oblique, horizontal = (upsample2(f[thin, thin_rows]) for f in (broad, *fissures))
        part = (slice(low, low + len(matter)), slice(rows.start, rows.start + matter.shape[1]))
        matter += grain.box((low, rows.start, 0), matter.shape)
        sheet = np.minimum(np.abs(oblique), np.abs(horizontal) + 1e3 * (left | (oblique < 0)))
        matter += fissure_hu * np.clip(
            (_FISSURE_MM - sheet) / np.float32(grid.spacing_mm) + np.float32(0.5), 0, 1
        )
        weight = cover[part]
        if low > 0:  # the first plane was filled by the slab before
            part, matter, weight = (slice(low + 1, part[0].stop), part[1]), matter[1:], weight[1:]
        matter -= hu[part]
        hu[part] += weight * matter


def _composite(hu: np.ndarray, covers: _Covers, build: Build, rng: np.random.Generator) -> None:
    """Lay scars, walls, vessels and lumina into the volume, in place; tissue never gets thinner by them."""
    for cover, value in (
        (covers.scar, float(rng.uniform(-60, 40))),
        (covers.wall, -20.0),
        (covers.vessel, build.blood_hu),
    ):
        _raise(hu, cover, value)
    where = np.flatnonzero(covers.lumen.ravel() > 0)
    flat = hu.reshape(-1)
    flat[where] += covers.lumen.ravel()[where] * (-1000.0 - flat[where])


def _raise(hu: np.ndarray, cover: np.ndarray, value: float) -> None:
    where = np.flatnonzero(cover.ravel() > 0)
    flat = hu.reshape(-1)
    flat[where] += cover.ravel()[where] * np.maximum(value - flat[where], 0)


def _labels(covers: _Covers) -> np.ndarray:
    label = np.where(covers.vessel > 0.4, VESSEL, 0).astype(np.uint8)
    label[covers.wall > 0.4] = AIRWAY
    return label


def add_nodes(hu: np.ndarray, grid: Grid, build: Build, cover: np.ndarray, rng: np.random.Generator) -> None:
    """Lay lymph nodes at the hila and along the trachea into the volume, in place.

    Their middle lies outside the lungs (cover 0): a node may bulge into a lung, but never lies free in it.
    """
    for centre, radius in nodes(build, rng):
        box = grid.box(centre - 1.6 * radius, centre + 1.6 * radius)
        if box is None or cover[tuple(np.rint(grid.index(centre)).astype(int))] > 0:
            continue
        stretch = rng.uniform(0.8, 1.4, 3)
        axes = [
            a[tuple(c if n > 1 else slice(None) for c, n in zip(box, a.shape, strict=True))]
            for a in grid.axes_mm()
        ]
        far = np.sqrt(sum(((a - c) / s) ** 2 for a, c, s in zip(axes, centre, stretch, strict=True)))
        part = hu[box]
        part += np.clip(radius - far + 0.5, 0, 1) * np.maximum(rng.uniform(20, 70) - part, 0)
