"""On generated chests with one mass of 30 to 90 mm each: found, where, how large; and on bodies without lungs.

Outlines of LIDC-IDRI 0530-0899, enlarged; masses lie amid a lung, at the chest wall or at the mediastinum. What of a
mass would lie outside the lung is left out, so a mass at a wall meets it broadly and measures less than asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from apps.nodule.data.phantom.acquisition import acquire
from apps.nodule.data.phantom.anatomy import Anatomy, make_chest
from apps.nodule.data.phantom.contours import NoduleShape, load_shapes
from apps.nodule.data.phantom.nodules import insert, render_nodule
from apps.nodule.data.volume import Volume
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate
from benchmarks.nodule.detection_cache import DetectionCache, compact_cache, weights_digest
from benchmarks.nodule.elsewhere import search_elsewhere
from benchmarks.nodule.held_out import generator_digest
from benchmarks.nodule.shares import rounded
from core.terminal.progress import progress

ANATOMY_MM = 2.5
FIRST_SEED = 300_000
DIAMETERS_MM = (30.0, 40.0, 50.0, 60.0, 75.0, 90.0)
PLACEMENTS = ("central", "pleural", "mediastinal")
DEPTHS = (0.3, 0.7)  # in radii: how deep in the lung the middle of a mass at a wall lies
ROUND = 0.75  # share of a mass's outline within its ball of equal volume: scattered pieces are not a mass
LEAST_SIZE = 0.5  # of a hit, as a share of the mass's diameter
PROTOCOLS = ((2.0, 0.75, "standard", 1.0), (2.5, 0.75, "soft", 0.5), (3.0, 0.8, "sharp", 1.0))


@dataclass(frozen=True, eq=False)
class MassPhantom:
    """A chest and its mass as it entered: the centroid, and the diameter of the ball of equal volume."""

    volume: Volume
    mass: Candidate


@dataclass(frozen=True)
class Outcome:
    """What became of one mass. Of the most probable hit; null where there is none."""

    placement: str
    asked_mm: float
    diameter_mm: float
    false_marks: int  # beyond the radius
    found: bool = False
    probability: float | None = None
    away_mm: float | None = None
    diameter_error: float | None = None  # of the mark's diameter, as a share of the mass's


def measure_masses(detector: CompactDetector, folder: Path) -> dict[str, Any]:
    """Return hits at the working point, errors of the hits, false marks, and what bodies without lungs give."""
    cases = [(diameter, placement) for placement in PLACEMENTS for diameter in DIAMETERS_MM]
    outcomes = [
        measure_mass(detector, FIRST_SEED + number, diameter, placement, folder)
        for number, (diameter, placement) in enumerate(progress(cases, "masses"))
    ]
    bodies = search_elsewhere(detector)
    hits = sum(o.found for o in outcomes)
    false = sum(o.false_marks for o in outcomes) / len(outcomes)
    return {
        "headline": {
            "masses found": f"{hits} of {len(outcomes)}",
            "false marks a chest": f"{false:.1f}",
            "findings in bodies without lungs": f"{bodies['findings']} in {bodies['series']}",
        },
        "weights": weights_digest(detector.net),
        "threshold": detector.threshold,
        "found": hits,
        "count": len(outcomes),
        "placement": {name: summary([o for o in outcomes if o.placement == name]) for name in PLACEMENTS},
        "diameter": {f"{d:g}": summary([o for o in outcomes if o.asked_mm == d]) for d in DIAMETERS_MM},
        "false_marks": rounded(false),
        "masses": [asdict(o) for o in outcomes],
        "elsewhere": bodies,
    }


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return count and found, and medians of the hits' distance (mm) and diameter error; null where none was found."""
    hits = [o for o in outcomes if o.found]
    return {
        "count": len(outcomes),
        "found": len(hits),
        "away_mm": _median([o.away_mm for o in hits]),
        "diameter_error": _median([o.diameter_error for o in hits]),
    }


def measure_mass(
    detector: CompactDetector, seed: int, diameter_mm: float, placement: str, folder: Path
) -> Outcome:
    """Run the detector on one mass; both the truth and the marks are cached, by the code that makes them."""
    made = cache(partial(make_mass, seed, diameter_mm, placement))
    name = f"mass-{seed}-{diameter_mm:g}-{placement}-{recipe()}"
    (mass,) = DetectionCache(folder, "masses")(name, lambda: [made().mass])
    marks = compact_cache(folder, detector)(name, lambda: detector.detect(made().volume).candidates)
    return judge(mass, [m for m in marks if m.probability >= detector.threshold], diameter_mm, placement)


def recipe() -> str:
    """Return a digest of the masses: of what the generator of chests makes today, and of this file."""
    return sha256(generator_digest().encode() + Path(__file__).read_bytes()).hexdigest()[:8]


def judge(mass: Candidate, marks: Sequence[Candidate], asked_mm: float, placement: str) -> Outcome:
    """Compare marks at the working point with the mass.

    A hit lies within the radius of the centre (LUNA16's rule) and measures at least half: not a mark at the rim.
    """
    away = [float(np.linalg.norm(np.subtract(m.centre_mm, mass.centre_mm))) for m in marks]
    near = [(gap, mark) for gap, mark in zip(away, marks, strict=True) if gap <= mass.diameter_mm / 2]
    outcome = Outcome(placement, asked_mm, rounded(mass.diameter_mm), false_marks=len(marks) - len(near))
    hits = [hit for hit in near if hit[1].diameter_mm >= LEAST_SIZE * mass.diameter_mm]
    if not hits:
        return outcome
    gap, mark = max(hits, key=lambda hit: hit[1].probability)
    return replace(
        outcome,
        found=True,
        probability=rounded(mark.probability),
        away_mm=rounded(gap),
        diameter_error=rounded(mark.diameter_mm / mass.diameter_mm - 1),
    )


def make_mass(seed: int, diameter_mm: float, placement: str) -> MassPhantom:
    """Make one chest with a mass; the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, 7])
    anatomy = make_chest(seed, ANATOMY_MM)
    spacing = (ANATOMY_MM,) * 3
    mass = render_nodule(_round_shape(rng), spacing, "solid", rng, diameter_mm)
    keep = anatomy.lung_DHW.astype(np.float32)
    voxel = _voxel(anatomy, diameter_mm / 2, placement, rng)
    entered = insert(anatomy.hu_DHW, mass, voxel, spacing, keep)
    x, y, z = (float(v) for v in anatomy.affine[:3, :3] @ entered.centre + anatomy.affine[:3, 3])
    slice_mm, pixel_mm, kernel, dose = PROTOCOLS[seed % len(PROTOCOLS)]
    volume = acquire(anatomy, (slice_mm, pixel_mm), max(slice_mm, 1.25), kernel, dose, rng, f"mass-{seed}")
    return MassPhantom(volume, Candidate((x, y, z), entered.diameter_mm, 1.0))


def _round_shape(rng: np.random.Generator) -> NoduleShape:
    shapes = load_shapes("test")
    while True:
        shape = shapes.draw(rng, 25.0)
        if roundness(shape) >= ROUND:
            return shape


def roundness(shape: NoduleShape) -> float:
    """Return the share of an outline within the ball of equal volume around its centroid."""
    at = np.argwhere(shape.mask_DHW) * shape.spacing_mm
    return float((np.linalg.norm(at - at.mean(axis=0), axis=1) <= shape.diameter_mm / 2).mean())


def _voxel(
    anatomy: Anatomy, radius_mm: float, placement: str, rng: np.random.Generator
) -> tuple[int, int, int]:
    """Draw where the middle goes: among the deepest of a lung, or near its outer or inner border."""
    lung = anatomy.lung_mask_DHW
    depth = ndimage.distance_transform_edt(lung, sampling=anatomy.spacing_mm)
    if placement == "central":
        voxels = np.argwhere(depth > 0.9 * depth.max())
    else:
        low, high = (share * radius_mm for share in DEPTHS)
        voxels = np.argwhere((depth >= low) & (depth <= min(high, 0.9 * depth.max())))
        off = np.abs(voxels[:, 2] * anatomy.spacing_mm + anatomy.affine[0, 3])
        outer, inner = off > np.quantile(off, 0.7), off < np.quantile(off, 0.3)
        voxels = voxels[outer if placement == "pleural" else inner]
    rows = np.flatnonzero(lung.any(axis=(1, 2)))
    first, last = np.quantile(rows, [0.25, 0.8])
    voxels = voxels[(voxels[:, 0] >= first) & (voxels[:, 0] <= last)]
    d, h, w = (int(v) for v in voxels[rng.integers(len(voxels))])
    return d, h, w


def _median(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return rounded(float(np.median(known))) if known else None
