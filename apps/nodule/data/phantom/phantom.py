"""Synthetic chest CT scans with nodules of real outlines and exact ground truth.

    phantom = make_phantom(7, PhantomSpec(slice_mm=1.25, split="train"))
    phantom.volume                  # what a scanner would give
    phantom.nodules[0].centre_mm    # LPS (x, y, z)

The held-out evaluation set has seeds from FIRST_TEST_SEED up and shapes of split "test".
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

import numpy as np

from apps.nodule.data.phantom.acquisition import KERNELS, acquire
from apps.nodule.data.phantom.anatomy import VESSEL, Anatomy, make_chest
from apps.nodule.data.phantom.contours import SPLITS, load_shapes
from apps.nodule.data.phantom.nodules import (
    KINDS,
    Inserted,
    draw_diameter_mm,
    draw_kind,
    insert,
    render_nodule,
)
from apps.nodule.data.phantom.placement import PLACEMENTS, Sites, draw_placement
from apps.nodule.data.volume import Volume

FIRST_TEST_SEED = 100_000


@dataclass(frozen=True)
class PhantomSpec:
    """How to make a phantom.

    nodules: fewest and most. slice_mm: distance of slices; thickness_mm: their thickness (None: the distance).
    pixel_mm; kernel: soft, standard or sharp; dose: 1 is a usual chest scan, 0.2 screening. split: whose shapes.
    kind, placement: fixed ones for all nodules, or None to draw each. anatomy_mm: grid of the anatomy.
    """

    nodules: tuple[int, int] = (1, 6)
    slice_mm: float = 1.25
    thickness_mm: float | None = None
    pixel_mm: float = 0.7
    kernel: str = "standard"
    dose: float = 1.0
    split: str = "train"
    kind: str | None = None
    placement: str | None = None
    anatomy_mm: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.nodules
        if not 0 <= low <= high:
            raise ValueError(f"nodules is {self.nodules}, wanted (fewest, most) with 0 <= fewest <= most")
        for name, options in (("kernel", tuple(KERNELS)), ("split", SPLITS)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}, wanted one of {', '.join(options)}")
        for name, options in (("kind", KINDS), ("placement", PLACEMENTS)):
            if getattr(self, name) not in (None, *options):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, wanted None or one of {', '.join(options)}"
                )
        for name in ("slice_mm", "pixel_mm", "dose", "anatomy_mm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted above 0")


@dataclass(frozen=True, eq=False)
class PhantomNodule:
    """One nodule as it really entered: centroid LPS (x, y, z) mm, diameter of the sphere of equal volume, mm."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    kind: str
    placement: str
    inserted: Inserted


@dataclass(frozen=True, eq=False)
class Phantom:
    """A volume, its nodules, and the anatomy (with the nodules in it) that was scanned."""

    volume: Volume
    nodules: tuple[PhantomNodule, ...]
    anatomy: Anatomy


def split_of_seed(seed: int) -> str:
    """Return whose outlines a seed's phantom has: held-out ones from FIRST_TEST_SEED up."""
    return "test" if seed >= FIRST_TEST_SEED else "train"


def phantom_uid(seed: int, spec: PhantomSpec) -> str:
    """Return a UID derived from seed and spec (PS3.5 B.2: 2.25 and a 128-bit number)."""
    digest = hashlib.sha256(repr((seed, astuple(spec))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def draw_spec(seed: int, split: str = "train", nodules: tuple[int, int] = (1, 6)) -> PhantomSpec:
    """Draw a protocol as hospitals use them: thin and thick slices, soft and sharp kernels, usual and low dose."""
    rng = np.random.default_rng([seed, 3])
    slice_mm = float(rng.choice([0.7, 1.0, 1.25, 2.0, 2.5, 3.0], p=[0.1, 0.25, 0.25, 0.15, 0.15, 0.1]))
    return PhantomSpec(
        nodules=nodules,
        slice_mm=slice_mm,
        thickness_mm=max(slice_mm, float(rng.choice([1.0, 1.25]))) if slice_mm <= 1.25 else slice_mm,
        pixel_mm=round(float(rng.uniform(0.62, 0.82)), 3),
        kernel=str(rng.choice(list(KERNELS), p=[0.4, 0.35, 0.25])),
        dose=round(float(rng.choice([0.25, 0.5, 1.0, 2.0])), 3),
        split=split,
    )


def make_phantom(seed: int, spec: PhantomSpec | None = None) -> Phantom:
    """Make one phantom; the same seed and spec give the same bytes."""
    spec = spec or PhantomSpec()
    anatomy = make_chest(seed, spec.anatomy_mm)
    rng = np.random.default_rng([seed, 2])
    nodules = add_nodules(anatomy, spec, rng)
    thickness = spec.thickness_mm or spec.slice_mm
    volume = acquire(
        anatomy,
        (spec.slice_mm, spec.pixel_mm),
        thickness,
        spec.kernel,
        spec.dose,
        rng,
        phantom_uid(seed, spec),
    )
    return Phantom(volume, nodules, anatomy)


def add_nodules(anatomy: Anatomy, spec: PhantomSpec, rng: np.random.Generator) -> tuple[PhantomNodule, ...]:
    """Put nodules into an anatomy, in place; a draw that finds no space (a small lung) is left out."""
    count = int(rng.integers(spec.nodules[0], spec.nodules[1] + 1))
    if count == 0:
        return ()
    library = load_shapes(spec.split)
    spacing = (anatomy.spacing_mm,) * 3
    sites = Sites(anatomy.lung_mask_DHW, anatomy.label_DHW == VESSEL, spacing)
    keep = anatomy.lung_DHW.astype(np.float32)
    taken: list[tuple[np.ndarray, float]] = []
    entered: list[PhantomNodule] = []
    for _ in range(count):
        diameter = draw_diameter_mm(rng)
        kind, placement = spec.kind or draw_kind(rng), spec.placement or draw_placement(rng)
        clear = [(v, d / 2 + diameter / 2 + 6) for v, d in taken]
        voxel = sites.pick(placement, diameter, rng, clear)
        if voxel is None:
            continue
        z, y, x = rng.uniform(-0.5, 0.5, 3)
        nodule = render_nodule(library.draw(rng, diameter), spacing, kind, rng, diameter, offset=(z, y, x))
        inserted = insert(anatomy.hu_DHW, nodule, voxel, spacing, keep)
        taken.append((np.array(voxel), diameter))
        entered.append(_describe(anatomy, inserted, kind, placement))
    return tuple(entered)


def _describe(anatomy: Anatomy, inserted: Inserted, kind: str, placement: str) -> PhantomNodule:
    x, y, z = (float(v) for v in anatomy.affine[:3, :3] @ inserted.centre + anatomy.affine[:3, 3])
    return PhantomNodule((x, y, z), inserted.diameter_mm, kind, placement, inserted)
