"""Synthetic nodules with real outlines: their matter, and how they enter a lung, real or made.

HU of each kind: solid tissue about 0-60 HU, ground glass -750 to -450 HU, part-solid both, calcified above 150 HU
(Bankier et al. 2024, Fleischner glossary, doi:10.1148/radiol.232558; de Hoop et al. 2010,
doi:10.1148/radiol.09090547 for the masses of ground glass).
Axes: D slices (z), H rows (y), W columns (x); spacing_mm is (z, y, x) here, in the order of the axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from apps.nodule.data.phantom.contours import NoduleShape, equivalent_diameter_mm, random_turn, sample_alpha

KINDS = ("solid", "part_solid", "ground_glass", "calcified")
KIND_SHARES = (0.68, 0.12, 0.14, 0.06)
DIAMETER_RANGE_MM = (4.0, 25.0)
Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Nodule:
    """A nodule on its own small grid, the centroid at the middle voxel (+ the offset asked for).

    alpha_DHW: covered part of each voxel, 0..1. hu_DHW: its matter, HU. diameter_mm: of the sphere of equal volume,
    measured on alpha.
    """

    alpha_DHW: np.ndarray
    hu_DHW: np.ndarray
    diameter_mm: float
    kind: str


@dataclass(frozen=True)
class Inserted:
    """What of a nodule really entered the volume: its centroid (index, float), diameter, and the alpha there."""

    centre: np.ndarray
    diameter_mm: float
    origin: tuple[int, int, int]
    alpha_DHW: np.ndarray


def draw_kind(rng: np.random.Generator) -> str:
    """Draw a kind with the shares seen in screening."""
    return str(rng.choice(KINDS, p=KIND_SHARES))


def draw_diameter_mm(rng: np.random.Generator) -> float:
    """Draw a diameter as in LUNA16: log-normal, median about 6.5 mm, cut to 4-25 mm."""
    low, high = DIAMETER_RANGE_MM
    while True:
        value = float(rng.lognormal(np.log(6.6), 0.5))
        if low <= value <= high:
            return value


def render_nodule(
    shape: NoduleShape,
    spacing_mm: Spacing,
    kind: str,
    rng: np.random.Generator,
    diameter_mm: float | None = None,
    psf_mm: float = 0.0,
    noise_hu: float = 0.0,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Nodule:
    """Render a shape, turned at random, as a nodule of a kind; composite it with `insert`.

    diameter_mm: None keeps the shape's own. psf_mm: standard deviation of the scanner's blur, for a nodule that goes
    into an image already reconstructed; 0 for noise-free anatomy that is blurred later. noise_hu: standard
    deviation of grain to add, likewise. offset: of the centroid from the middle voxel, in voxels.
    Raises ValueError for a kind that is none of KINDS.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, wanted one of {', '.join(KINDS)}")
    body, turn = shape.body(), random_turn(rng)
    wanted = diameter_mm or shape.diameter_mm
    alpha = sample_alpha(body, spacing_mm, turn, wanted, offset, extra_mm=3 * psf_mm)
    diameter = equivalent_diameter_mm(float(alpha.sum()) * float(np.prod(spacing_mm)))
    hu = _matter(kind, alpha.shape, spacing_mm, rng)
    if kind in ("part_solid", "calcified"):
        share = float(rng.uniform(0.35, 0.75) if kind == "part_solid" else rng.choice([0.5, 0.7, 1.0]))
        shift = rng.uniform(-0.18, 0.18, 3) * (1 - share) * wanted / np.asarray(spacing_mm)
        core = _core(body, spacing_mm, turn, wanted * share, np.asarray(offset) + shift, alpha.shape)
        hu = hu * (1 - core) + _core_matter(kind, alpha.shape, spacing_mm, rng) * core
    if psf_mm > 0:
        sigma = psf_mm / np.asarray(spacing_mm)
        alpha = ndimage.gaussian_filter(alpha, sigma, truncate=3)
        hu = ndimage.gaussian_filter(hu, sigma, truncate=3)
    if noise_hu > 0:
        hu = hu + noise_hu * _texture(alpha.shape, 0.7, rng)
    return Nodule(alpha, hu.astype(np.float32), diameter, kind)


def _core(body, spacing_mm, turn, diameter_mm, offset, shape) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return the same body, smaller and shifted, on a grid of the given shape."""
    core = sample_alpha(body, spacing_mm, turn, diameter_mm, tuple(offset))
    out = np.zeros(shape, np.float32)
    gap = [(a - b) // 2 for a, b in zip(shape, core.shape, strict=True)]
    into = tuple(
        slice(max(g, 0), max(g, 0) + min(a, b)) for g, a, b in zip(gap, shape, core.shape, strict=True)
    )
    take = tuple(
        slice(max(-g, 0), max(-g, 0) + min(a, b)) for g, a, b in zip(gap, shape, core.shape, strict=True)
    )
    out[into] = core[take]
    return out


def _matter(kind: str, shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator) -> np.ndarray:
    level, grain, cells = {
        "solid": (rng.uniform(-30, 70), 15.0, 2.0),
        "part_solid": (rng.uniform(-720, -480), 50.0, 1.6),
        "ground_glass": (rng.uniform(-740, -470), 50.0, 1.6),
        "calcified": (rng.uniform(0, 80), 15.0, 2.0),
    }[kind]
    return level + grain * _texture(shape, cells / float(np.mean(spacing_mm)), rng)


def _core_matter(
    kind: str, shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator
) -> np.ndarray:
    level = rng.uniform(-120, 50) if kind == "part_solid" else rng.uniform(200, 700)
    return level + 25 * _texture(shape, 2.0 / float(np.mean(spacing_mm)), rng)


@lru_cache(maxsize=16)
def _texture_bank(sigma: float) -> np.ndarray:
    """A fixed block of smooth noise (mean 0, deviation 1) to cut textures from; drawing it each time is slow."""
    noise = np.random.default_rng(20260101).normal(size=(72, 72, 72)).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def _texture(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> np.ndarray:
    bank = _texture_bank(round(max(sigma, 0.3) * 4) / 4)
    starts = rng.integers(0, 72, 3)
    cut = [np.arange(s, s + n) % 72 for s, n in zip(starts, shape, strict=True)]
    return bank[np.ix_(*cut)] * float(rng.choice([-1.0, 1.0]))


def insert(
    hu_DHW: np.ndarray,
    nodule: Nodule,
    centre: tuple[int, int, int],
    spacing_mm: Spacing,
    keep_DHW: np.ndarray | None = None,
    *,
    see_through: bool = True,
) -> Inserted:
    """Composite a nodule into a volume in place: hu * (1 - alpha) + hu_nodule * alpha; return what entered.

    centre: voxel that the nodule's middle voxel meets. keep_DHW: 0..1, where the nodule may be (the lung), or None.
    see_through: denser voxels stay (a vessel in ground glass, the chest wall); else they are overwritten.
    Raises ValueError where nothing of the nodule lies inside the volume.
    """
    half = np.array(nodule.alpha_DHW.shape) // 2
    low = np.asarray(centre) - half
    take_low = np.maximum(-low, 0)
    take_high = np.minimum(np.array(hu_DHW.shape) - low, nodule.alpha_DHW.shape)
    if (take_high <= take_low).any():
        raise ValueError(f"the nodule at voxel {tuple(centre)} lies outside the volume of {hu_DHW.shape}")
    take = tuple(slice(a, b) for a, b in zip(take_low, take_high, strict=True))
    origin = low + take_low
    into = tuple(slice(a, a + t.stop - t.start) for a, t in zip(origin, take, strict=True))
    alpha = nodule.alpha_DHW[take]
    if keep_DHW is not None:
        alpha = alpha * keep_DHW[into]
    old = hu_DHW[into].astype(np.float32)
    new = np.maximum(nodule.hu_DHW[take], old) if see_through else nodule.hu_DHW[take]
    mixed = old + alpha * (new - old)
    hu_DHW[into] = np.rint(mixed) if np.issubdtype(hu_DHW.dtype, np.integer) else mixed
    return _measure(alpha, origin, spacing_mm)


def _measure(alpha_DHW: np.ndarray, origin: np.ndarray, spacing_mm: Spacing) -> Inserted:
    total = float(alpha_DHW.sum())
    if total <= 0:
        raise ValueError("nothing of the nodule lies where it may be")
    sums = [alpha_DHW.sum(tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    centre = np.array([float(np.arange(len(s)) @ s) / total for s in sums]) + origin
    diameter = equivalent_diameter_mm(total * float(np.prod(spacing_mm)))
    z, y, x = (int(n) for n in origin)
    return Inserted(centre, diameter, (z, y, x), alpha_DHW)
