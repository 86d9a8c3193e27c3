"""Bodies without lungs: heads, legs, pelves, and abdomens with gas and stool, on which no nodule should be reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import Detector
from core.terminal.progress import progress

SPACING_MM = 3.0
SHAPE = (70, 76, 100)  # 210 × 228 × 300 mm
AIR, FAT, TISSUE, STOOL, BONE = -1000.0, -90.0, 40.0, 60.0, 900.0
NOISE_HU = (10.0, 30.0, 60.0)
EACH = 6  # series of each part
Z, Y, X = (
    (np.arange(n) - (n - 1) / 2).reshape([-1 if a == i else 1 for a in range(3)]) * SPACING_MM
    for i, n in enumerate(SHAPE)
)


def search_elsewhere(detector: Detector, each: int = EACH) -> dict[str, Any]:
    """Return how many series were searched, how many were said to hold no lung, and the findings in all of them."""
    counts = {name: {"series": each, "no_lung": 0, "findings": 0} for name in PARTS}
    for name, seed in progress(
        [(name, seed) for name in PARTS for seed in range(each)], "bodies without lungs"
    ):
        detection = detector.detect(make_part(name, seed))
        counts[name]["no_lung"] += "no_lung" in dict(detection.notes)
        counts[name]["findings"] += sum(c.probability >= detector.threshold for c in detection.candidates)
    total = {key: sum(part[key] for part in counts.values()) for key in ("series", "no_lung", "findings")}
    return {**total, "parts": counts}


def make_part(name: str, seed: int) -> Volume:
    """Make a part of a body, one of PARTS; the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, 11])
    hu = PARTS[name](rng) + rng.normal(0, NOISE_HU[seed % len(NOISE_HU)], SHAPE)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * SPACING_MM
    affine[:3, 3] = X.min(), Y.min(), Z.min()
    return Volume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), affine, f"{name}-{seed}")


def _ball(centre: np.ndarray, radius: float) -> np.ndarray:
    x, y, z = centre
    return np.asarray((X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2 < radius**2)


def _head(rng: np.random.Generator) -> np.ndarray:
    """A skull with brain, an air-filled sinus with a polyp, and the cells of a mastoid."""
    size = rng.uniform(0.85, 1.1)
    outer = np.sqrt((X / 75) ** 2 + (Y / 90) ** 2 + (Z / 95) ** 2) / size
    hu = np.where(outer < 1, BONE, AIR)
    hu = np.where(outer < 0.92, 35.0, hu)
    sinus = np.array([20.0, -55.0, -30.0]) * size
    hu = np.where(_ball(sinus, rng.uniform(15, 26)), rng.uniform(-1000, -950), hu)
    hu = np.where(_ball(sinus - np.array([0, 0, 12]), rng.uniform(5, 10)), 30.0, hu)
    mastoid = _ball(np.array([55.0, 20.0, -40.0]) * size, rng.uniform(9, 15))
    return np.where(mastoid, rng.choice([-900.0, BONE], SHAPE), hu)


def _legs(rng: np.random.Generator) -> np.ndarray:
    """Two legs with bones, under a blanket."""
    hu = np.full(SHAPE, AIR)
    apart, radius = rng.uniform(50, 65), rng.uniform(30, 48)
    for side in (-apart, apart):
        away = np.sqrt((X - side) ** 2 + Y**2 + 0 * Z)
        hu = np.where(away < radius, TISSUE, hu)
        hu = np.where(away < 14, BONE, hu)
    blanket = (np.abs(Y + radius + 15) < rng.uniform(4, 10)) & (np.abs(X) < 120) & (np.abs(Z) < 200)
    return np.where(blanket, rng.uniform(-930, -800), hu)


def _trunk(rng: np.random.Generator) -> np.ndarray:
    skin = (X / rng.uniform(115, 135)) ** 2 + (Y / rng.uniform(80, 95)) ** 2 + 0 * Z
    hu = np.where(skin < 1, FAT, AIR)
    hu = np.where(skin < 0.85, TISSUE, hu)
    return np.where((X**2 + (Y - 50) ** 2 + 0 * Z) < 15**2, BONE, hu)


def _pelvis(rng: np.random.Generator) -> np.ndarray:
    """Pockets of gas, stool lying in each."""
    hu = _trunk(rng)
    for _ in range(4):
        centre = rng.uniform([-55, -35, -70], [55, 20, 70])
        radius = rng.uniform(14, 28)
        pocket = _ball(centre, radius)
        stool = _ball(centre + np.array([0, radius / 2, 0]), radius * rng.uniform(0.4, 0.7))
        hu = np.where(pocket, rng.uniform(-1000, -930), hu)
        hu = np.where(stool & pocket, STOOL, hu)
    return hu


def _abdomen(rng: np.random.Generator) -> np.ndarray:
    """A colon on both sides, partly gas, partly stool mixed with it, balls of stool hanging in the gas."""
    hu = _trunk(rng)
    for side in (-75, 75):
        radius = rng.uniform(18, 28)
        colon = ((X - side) ** 2 + (Y + 10) ** 2 + 0 * Z < radius**2) & (np.abs(Z) < rng.uniform(50, 95))
        mixed = rng.choice([rng.uniform(-1000, -930), STOOL], SHAPE, p=[0.6, 0.4])
        hu = np.where(colon, np.where(rng.uniform(-60, 60) > Z, mixed, rng.uniform(-1000, -930)), hu)
        for _ in range(3):
            ball = _ball(
                np.array([side + rng.uniform(-8, 8), -10.0, rng.uniform(-80, 80)]), rng.uniform(4, 12)
            )
            hu = np.where(ball & colon, STOOL, hu)
    return hu


PARTS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "head": _head,
    "legs": _legs,
    "pelvis": _pelvis,
    "abdomen": _abdomen,
}
