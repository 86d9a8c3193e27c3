"""A lung ready to cut training patches from: voxels of 1 mm, what is known of its nodules, where to cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apps.nodule.data.lung_box import LungBox
from core.runs.arrays import read_arrays, write_arrays

DENSE_HU = -500  # vessels, walls, nodules: where a detector is tempted
SPACING_MM = 1.0
AIRY_HU = -650  # parenchyma: where a nodule can grow
MOST_PLACES = 100_000
NAMES = ("hu", "centres", "diameters", "airy", "dense", "accepts")  # in a file


@dataclass(eq=False)
class Scene:
    """A lung on a 1 mm grid.

    hu_DHW: int16. centres_N3: known nodules, voxels (d, h, w); diameters_N: mm. airy_M3, dense_M3: voxels of
    parenchyma, and of what is denser. accepts: whether further nodules may be inserted.
    tempting_K3: what a detector took for a nodule where none is known; mined during training.
    """

    hu_DHW: np.ndarray
    centres_N3: np.ndarray
    diameters_N: np.ndarray
    airy_M3: np.ndarray
    dense_M3: np.ndarray
    accepts: bool
    tempting_K3: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


def make_scene(box: LungBox, centres_mm_N3: np.ndarray, diameters_N: np.ndarray, *, accepts: bool) -> Scene:
    """Turn a lung box of 1 mm, nodule centres (N, 3) in LPS mm and diameters (N,) in mm into a scene.

    Nodules outside the box are left out. accepts: whether further nodules may be inserted.
    """
    hu_DHW = np.clip(np.rint(box.grid.hu_DHW), -1024, 3071).astype(np.int16)
    centres = box.grid.to_index(np.asarray(centres_mm_N3, dtype=float).reshape(-1, 3))
    inside = ((centres >= 0) & (centres <= np.array(hu_DHW.shape) - 1)).all(axis=1)
    return Scene(
        hu_DHW,
        centres[inside],
        np.asarray(diameters_N, dtype=float)[inside],
        _some(box.mask_DHW & (hu_DHW < AIRY_HU)),
        _some(box.mask_DHW & (hu_DHW > DENSE_HU)),
        accepts,
    )


def write_scene(path: Path, scene: Scene) -> None:
    """Keep a scene in a file; what detectors were tempted by is not kept."""
    points = (scene.airy_M3, scene.dense_M3)
    arrays = (scene.hu_DHW, scene.centres_N3, scene.diameters_N, *points, np.array(scene.accepts))
    write_arrays(path, dict(zip(NAMES, arrays, strict=True)))


def read_scene(path: Path) -> Scene | None:
    """Read what `write_scene` wrote; None where there is no such file or it is damaged."""
    kept = read_arrays(path)
    if kept is None or kept.keys() != set(NAMES):
        return None
    hu, centres, diameters, airy, dense, accepts = (kept[name] for name in NAMES)
    return Scene(hu, centres, diameters, airy, dense, bool(accepts))


def _some(mask_DHW: np.ndarray) -> np.ndarray:
    """Return up to MOST_PLACES voxels of a mask (M, 3), evenly spread."""
    flat = np.flatnonzero(mask_DHW)
    flat = flat[:: max(1, -(-len(flat) // MOST_PLACES))]
    return np.stack(np.unravel_index(flat, mask_DHW.shape), axis=1).astype(np.int16)
