"""A training patch, and how to cut one out of a lung."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Patch:
    """A cube of lung and what is known of its nodules.

    hu_DHW: float32, voxels of 1 mm. centres_N3: voxels (d, h, w), some may lie outside. diameters_N: mm.
    valid_DHW: bool, where the truth is known.
    """

    hu_DHW: np.ndarray
    centres_N3: np.ndarray
    diameters_N: np.ndarray
    valid_DHW: np.ndarray


def cut(hu_DHW: np.ndarray, corner: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Copy a cube whose first voxel is `corner`; beyond the volume its border is repeated and not valid.

    Returns hu float32 and valid bool, both (edge, edge, edge).
    """
    at = [np.arange(c, c + edge) for c in corner]
    inside = [(a >= 0) & (a < n) for a, n in zip(at, hu_DHW.shape, strict=True)]
    clipped = [np.clip(a, 0, n - 1) for a, n in zip(at, hu_DHW.shape, strict=True)]
    d, h, w = inside
    valid = d[:, None, None] & h[None, :, None] & w[None, None, :]
    if all(i.all() for i in inside):
        box = tuple(slice(a[0], a[-1] + 1) for a in at)
        return hu_DHW[box].astype(np.float32), valid
    return hu_DHW[np.ix_(*clipped)].astype(np.float32), valid
