"""Plain training material whose truth is exact: even lungs, balls for nodules, specimens cut from nothing."""

from __future__ import annotations

import numpy as np

from apps.nodule.data.phantom.contours import load_shapes
from apps.nodule.data.training.patches import PatchMaker
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.training.specimens import Specimen

AIRY, SOLID = -850, 40
SHAPE = (70, 80, 90)
KNOWN = (35.0, 40.0, 60.0)
TEMPTING = (30.0, 38.0, 20.0)


def ball(shape: tuple[int, ...], centre: np.ndarray | tuple[float, ...], diameter: float) -> np.ndarray:
    """How much of each voxel a ball covers, 0..1."""
    axes = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij", sparse=True)
    away = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)))
    return np.clip(diameter / 2 + 0.5 - away, 0, 1)


def scene(
    *, known: tuple[float, ...] | None = None, tempting: tuple[float, ...] | None = None, accepts: bool = True
) -> Scene:
    """An even lung; a ball of 12 mm for a known nodule, one of 8 mm for what tempts; a vessel along D at h=8, w=8."""
    hu = np.full(SHAPE, float(AIRY))
    hu[:, 6:11, 6:11] = SOLID
    for centre, diameter in ((known, 12.0), (tempting, 8.0)):
        if centre is not None:
            hu += ball(SHAPE, centre, diameter) * (SOLID - hu)
    hu = np.rint(hu).astype(np.int16)
    middle = np.stack(np.meshgrid(*[np.arange(20, n - 20, 3) for n in SHAPE], indexing="ij"), -1).reshape(
        -1, 3
    )
    airy = middle[hu[tuple(middle.T)] < -800]
    dense = np.argwhere(hu[:, :12, :12] > -500)
    made = Scene(
        hu,
        np.array([known] if known else [], dtype=float).reshape(-1, 3),
        np.array([12.0] if known else []),
        airy.astype(np.int16),
        dense.astype(np.int16),
        accepts,
    )
    if tempting is not None:
        made.tempting_K3 = np.array([tempting])
    return made


def specimen(diameter: float = 10.0, edge: int = 25, around: int = -850) -> Specimen:
    """A ball a little off the middle of a block."""
    centre = np.array([edge / 2, edge / 2 - 2, edge / 2 + 1])
    cover = ball((edge,) * 3, centre, diameter)
    hu = np.rint(around + cover * (SOLID - around)).astype(np.int16)
    outline = cover > 0.5
    alpha = np.clip((ball((edge,) * 3, centre, diameter + 6) * 3), 0, 1).astype(np.float32)
    at = np.argwhere(outline).mean(axis=0)
    return Specimen("ball", hu, outline, alpha, at, diameter, {})


def maker(source: str = "specimen", *, jitter: float = 4.0, edge: int = 48, **material: list) -> PatchMaker:
    """A maker of patches of one kind from this material."""
    full = {"scenes": [scene()], "specimens": [specimen()], "cubes": [specimen(edge=51)], **material}
    return PatchMaker(**full, shapes=load_shapes("train"), edge=edge, jitter=jitter, shares={source: 1.0})
