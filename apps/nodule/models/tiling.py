"""Walk over a lung in slabs that fit into memory, and put the peaks of neighbouring slabs together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Tile(NamedTuple):
    """box: what the network sees; low, high: voxels (3,) whose peaks count, seen from the volume's corner."""

    box: tuple[slice, slice, slice]
    low: np.ndarray
    high: np.ndarray


def slabs(mask_DHW: np.ndarray, depth: int, halo: tuple[int, int, int], multiple: int = 8) -> Iterator[Tile]:
    """Yield slabs along D that cover the mask, one for each side of the body, cut to what the mask fills.

    depth: slices whose peaks count; halo: slices, rows and columns around them that are seen only. Sizes are multiples
    of `multiple`; a box may reach beyond the volume, where the caller pads.
    """
    occupied = np.flatnonzero(mask_DHW.any(axis=(1, 2)))
    if not len(occupied):
        return
    end = int(occupied[-1]) + 1
    for start in range(int(occupied[0]), end, depth):
        stop = min(start + depth, end)
        plane = np.asarray(mask_DHW[start:stop].any(axis=0))
        for left, right in _sides(plane):
            side = plane[:, left:right]
            if side.any():
                rows, columns = np.flatnonzero(side.any(axis=1)), np.flatnonzero(side.any(axis=0)) + left
                low = np.array([start, rows[0], columns[0]])
                high = np.array([stop, rows[-1] + 1, columns[-1] + 1])
                yield Tile(_box(low, high, halo, multiple), low, high)


def _sides(plane_HW: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Split the columns where the mask is thinnest, near the middle: between the lungs."""
    height = plane_HW.sum(axis=0)
    third = len(height) // 3
    middle = third + int(np.argmin(height[third : len(height) - third])) if third else len(height)
    return (0, middle), (middle, len(height))


def _box(
    low: np.ndarray, high: np.ndarray, halo: tuple[int, int, int], multiple: int
) -> tuple[slice, slice, slice]:
    first = low - np.array(halo)
    size = -(-(high + np.array(halo) - first) // multiple) * multiple
    d, h, w = (slice(int(a), int(a + n)) for a, n in zip(first, size, strict=True))
    return d, h, w


def padded_cut(hu_DHW: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """Return a copy of a box, float32, of the box's own size; beyond the volume its border is repeated."""
    at = [np.clip(np.arange(s.start, s.stop), 0, n - 1) for s, n in zip(box, hu_DHW.shape, strict=True)]
    return hu_DHW[np.ix_(*at)].astype(np.float32)


def suppress(centres_N3: np.ndarray, diameters_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """Return the indices kept, (K,), best first: a centre within the radius of a better one is the same nodule.

    centres_N3, diameters_N: in the same unit, voxels of 1 mm; within 2 of each other two centres are always one.
    """
    kept: list[int] = []
    for i in np.argsort(-scores_N, kind="stable"):
        gaps = np.linalg.norm(centres_N3[kept] - centres_N3[i], axis=1) if kept else np.zeros(0)
        reach = np.maximum(diameters_N[kept], diameters_N[i]) / 2 if kept else np.zeros(0)
        if not (gaps < np.maximum(reach, 2.0)).any():
            kept.append(int(i))
    return np.array(kept, dtype=int)
