"""Small chests and a water bath that several tests share; made once a session."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from apps.nodule.data.phantom.anatomy import VESSEL, Anatomy, make_chest


@lru_cache(maxsize=1)
def _coarse_chest() -> Anatomy:
    return make_chest(11, 2.0)


def coarse_chest() -> Anatomy:
    """A chest on a 2 mm grid whose HU may be changed."""
    chest = _coarse_chest()
    return replace(chest, hu_DHW=chest.hu_DHW.copy())


def lung_cell() -> Anatomy:
    """One small lung (about 90 mm) with a vessel along z in a block of tissue, 1 mm grid."""
    z, y, x = np.ogrid[:100, :100, :100]
    far = np.sqrt((z - 49.5) ** 2 + (y - 49.5) ** 2 + (x - 49.5) ** 2)
    cover = np.clip(44 - far, 0, 1)
    hu = np.broadcast_to(40 - 910 * cover, (100, 100, 100)).copy()
    label = np.zeros(hu.shape, np.uint8)
    for at in (35, 65):
        hu[:, at : at + 2, 48:50] = 40
        label[:, at : at + 2, 48:50] = VESSEL
    label[cover < 0.5] = 0
    affine = np.array([[0, 0, 1, -40], [0, 1, 0, -30], [1, 0, 0, -20], [0, 0, 0, 1]], float)
    return Anatomy(np.rint(hu).astype(np.int16), cover.astype(np.float16), label, affine, 1.0)


def water_bath(shape: tuple[int, int, int] = (40, 120, 120), radius: float = 55.0) -> Anatomy:
    """A cylinder of water in air, 1 mm grid, first voxel at LPS (-60, -60, 0)."""
    axes = np.arange(shape[1]) - (shape[1] - 1) / 2
    inside = np.hypot(axes[:, None], axes[None, :]) <= radius
    hu = np.where(inside, 0, -1000).astype(np.int16)
    affine = np.array([[0, 0, 1, -60], [0, 1, 0, -60], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    empty = np.zeros(shape, np.float16)
    return Anatomy(np.repeat(hu[None], shape[0], 0), empty, empty.astype(np.uint8), affine, 1.0)
