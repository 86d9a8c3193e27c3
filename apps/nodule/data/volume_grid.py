"""The grid of a volume file: axes brought near L, P, S, rounding noise taken out, shear carried or refused."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from apps.nodule.reasons import Note, note, refuse

# How far a direction may be off its orthonormal neighbour: single precision, then what writers round away.
EXACT = 2e-5
NOISE = 1e-3
MAX_SHEAR_DEGREES = 30.0


def near_lps(affine: np.ndarray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return for the patient's S, P and L the index axis (of x, y, z) that runs nearest, and whether it is flipped.

    affine: (4, 4), index (x, y, z, 1) to LPS mm.
    """
    steps = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    best = max(permutations(range(3)), key=lambda axes: sum(abs(steps[2 - n, axes[n]]) for n in range(3)))
    flips = [bool(steps[2 - n, best[n]] < 0) for n in range(3)]
    return (best[0], best[1], best[2]), (flips[0], flips[1], flips[2])


def to_lps(values_zyx: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swap and flip axes so that they run near S, P, L; returns (D, H, W) values and index (d, h, w, 1) to LPS mm."""
    axes, flips = near_lps(affine)
    values_DHW = np.transpose(values_zyx, [2 - axis for axis in axes])
    turned = np.eye(4)
    turned[:3, 3] = affine[:3, 3]
    for n, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        turned[:3, n] = -affine[:3, axis] if flip else affine[:3, axis]
        if flip:
            turned[:3, 3] += affine[:3, axis] * (values_DHW.shape[n] - 1)
            values_DHW = np.flip(values_DHW, n)
    return np.ascontiguousarray(values_DHW), turned


def settled(affine: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Return a (4, 4) affine as it is used, and notes: noise is taken out about the middle of the volume.

    Raises ItemRefused("shear_too_large").
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    steps = affine[:3, :3] / spacing
    left, _, right = np.linalg.svd(steps)
    straight = left @ right  # the nearest orthonormal directions (polar decomposition)
    off = float(np.abs(steps - straight).max())
    if off <= EXACT:
        return affine, ()
    if off <= NOISE:
        middle = (np.array(shape) - 1) / 2
        clean = np.eye(4)
        clean[:3, :3] = straight * spacing
        clean[:3, 3] = affine[:3, :3] @ middle + affine[:3, 3] - clean[:3, :3] @ middle
        return clean, (note("directions_straightened", off=off),)
    cosines = np.abs(steps.T @ steps - np.eye(3)).max()
    degrees = float(np.degrees(np.arcsin(min(1.0, cosines))))
    if degrees > MAX_SHEAR_DEGREES:
        raise refuse("shear_too_large", degrees=degrees, limit=MAX_SHEAR_DEGREES)
    return affine, (note("sheared", degrees=degrees),)
