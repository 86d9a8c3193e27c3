"""Generated chests that no weights are trained on, cut to the lungs: where an export measures what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.phantom.phantom import draw_spec, make_phantom
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.scenes import SPACING_MM
from apps.nodule.data.training.training_set import on_anatomy
from core.runs.arrays import read_arrays, write_arrays
from core.terminal.progress import progress

# Neither of training (below 100,000), nor of the measurements on the model card (200,000 up).
FIRST_SEED = 150_000
NODULES = (6, 12)
VERSION = 1  # raise when the chests are made in another way
_NAMES = ("hu", "corner_mm", "mask", "centres_mm", "diameters_mm")


@dataclass(frozen=True, eq=False)
class DevelopmentScan:
    """A lung on a grid of 1 mm, with the nodules in it: centres in LPS mm (K, 3), diameters in mm (K,)."""

    box: LungBox
    centres_mm_K3: np.ndarray
    diameters_mm_K: np.ndarray


def development_scans(count: int, cache: Path, anatomy_mm: float = 1.0) -> list[DevelopmentScan]:
    """Return the first `count` scans; those that the cache lacks are made, about 20 s each.

    anatomy_mm: grid that the chests are drawn on.
    """
    return [
        _scan(FIRST_SEED + number, cache, anatomy_mm)
        for number in progress(range(count), "development scans", count)
    ]


def _scan(seed: int, cache: Path, anatomy_mm: float) -> DevelopmentScan:
    path = cache / f"development-{VERSION}-{seed}-{anatomy_mm:g}mm.npz"
    kept = read_arrays(path)
    if kept is None or kept.keys() != set(_NAMES):
        phantom = make_phantom(seed, on_anatomy(draw_spec(seed, nodules=NODULES, split="test"), anatomy_mm))
        box = lung_box(phantom.volume, SPACING_MM)
        values = (
            box.grid.hu_DHW,
            box.grid.origin_mm,
            box.mask_DHW,
            np.array([one.centre_mm for one in phantom.nodules], dtype=float).reshape(-1, 3),
            np.array([one.diameter_mm for one in phantom.nodules], dtype=float),
        )
        kept = dict(zip(_NAMES, values, strict=True))
        write_arrays(path, kept)
    hu, corner, mask, centres, diameters = (kept[name] for name in _NAMES)
    return DevelopmentScan(LungBox(PatientGrid(hu, SPACING_MM, corner), mask), centres, diameters)
