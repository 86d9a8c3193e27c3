"""Small chests and a water bath that several tests share; made once a session."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy import ndimage

from apps.nodule.data.phantom.anatomy import VESSEL, Anatomy, make_chest
from apps.nodule.data.phantom.nodules import Inserted
from apps.nodule.data.phantom.phantom import Phantom
from apps.nodule.data.volume import Volume


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


def labels_of(phantom: Phantom) -> np.ndarray:
    """Return the nodules on the volume's grid, uint8: i + 1 where at least half of nodule i covers, else 0."""
    out = np.zeros(phantom.volume.hu_DHW.shape, np.uint8)
    for number, nodule in enumerate(phantom.nodules, 1):
        _paint_label(out, phantom.volume, phantom.anatomy, nodule.inserted, number)
    return out


def lung_mask_of(phantom: Phantom) -> np.ndarray:
    """Return the lungs, vessels and nodules included, on the volume's grid, bool."""
    index = []
    for axis, n in enumerate(phantom.volume.hu_DHW.shape):
        index_N3 = np.zeros((n, 3))
        index_N3[:, axis] = np.arange(n)
        world = phantom.volume.to_world(index_N3)[:, 2 - axis]
        at = np.rint((world - phantom.anatomy.affine[2 - axis, 3]) / phantom.anatomy.spacing_mm).astype(int)
        index.append((np.clip(at, 0, phantom.anatomy.lung_DHW.shape[axis] - 1), at))
    mask = phantom.anatomy.lung_mask_DHW[np.ix_(*[i for i, _ in index])]
    for axis, (clipped, raw) in enumerate(index):
        mask[(slice(None),) * axis + (clipped != raw,)] = False
    return np.asarray(mask)


def _paint_label(out: np.ndarray, volume: Volume, anatomy: Anatomy, part: Inserted, number: int) -> None:
    low = np.array(part.origin)
    ends = np.array([low - 1, low + part.alpha_DHW.shape])
    to_world = anatomy.affine
    corners = volume.to_index(ends @ to_world[:3, :3].T + to_world[:3, 3])
    first = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    last = np.minimum(np.ceil(corners.max(0)) + 1, out.shape).astype(int)
    if (last <= first).any():
        return
    # volume index -> anatomy index -> index in the nodule's own array
    matrix = np.linalg.inv(to_world) @ volume.affine
    start = matrix[:3, :3] @ first + matrix[:3, 3] - low
    alpha = ndimage.affine_transform(
        part.alpha_DHW, matrix[:3, :3], start, tuple(last - first), order=1, mode="constant"
    )
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    out[box][alpha >= 0.5] = number
