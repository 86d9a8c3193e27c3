"""A development scan cut to a few slices, so that a search takes seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.training.development import DevelopmentScan, development_scans

COARSE_MM = 4.0
SLICES = slice(110, 174)  # enough to hold nodules


def some_slices(count: int, cache: Path, anatomy_mm: float = COARSE_MM) -> list[DevelopmentScan]:
    """Return the scans cut to a few slices."""
    scans = []
    for scan in development_scans(count, cache, anatomy_mm):
        grid = scan.box.grid
        first = grid.to_world(np.array([[SLICES.start, 0, 0]]))[0]
        cut = replace(grid, hu_DHW=grid.hu_DHW[SLICES], origin_mm=first)
        height_K = grid.to_index(scan.centres_mm_K3)[:, 0]
        inside = (height_K >= SLICES.start) & (height_K < SLICES.stop)
        box = LungBox(cut, scan.box.mask_DHW[SLICES])
        scans.append(DevelopmentScan(box, scan.centres_mm_K3[inside], scan.diameters_mm_K[inside]))
    return scans
