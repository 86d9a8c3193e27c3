"""Outline large nodules and masses by rays from their centre: where each first meets air.

A mass often lies broadly against the chest wall or the mediastinum, where its own density does not end. Rays that
meet no air within reach end there on a sphere of the radius that the others have.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from apps.nodule.data.volume import Volume

POLAR, AZIMUTH = 30, 60
STEP_MM = 1.0
FARTHEST_MM = 75.0
GAP_STEPS = 11  # air shorter than this along a ray lies between two lobes of the mass, or is a bronchus
ATTACHED = 2.0  # times the radius: a ray that is longer has left the mass for a wall or a vessel
FEWEST_ENDS = 0.2  # share of rays that must meet air, or the outline is a guess


def radial_mask(
    volume: Volume, centre_mm: np.ndarray, offset_DHW3: np.ndarray, threshold_hu: float, radius_mm: float
) -> np.ndarray | None:
    """Return which voxels lie within the outline, bool (D, H, W); None where too few rays end in air.

    offset_DHW3: voxels of a crop, in mm from the centre (LPS). threshold_hu: between tissue and air. radius_mm: a first
    guess; within half of it air counts as a cavity.
    """
    theta = (np.arange(POLAR) + 0.5) * np.pi / POLAR
    phi = np.arange(AZIMUTH) * 2 * np.pi / AZIMUTH
    ends = _ends(volume, centre_mm, theta, phi, threshold_hu, radius_mm)
    weight = np.broadcast_to(np.sin(theta)[:, None], ends.shape)
    if weight[np.isfinite(ends)].sum() < FEWEST_ENDS * weight.sum():
        return None
    radius = _median(ends, weight, np.isfinite(ends))
    for _ in range(5):
        radius = _median(ends, weight, ends <= ATTACHED * radius)
    outline = np.where(ends <= ATTACHED * radius, ends, radius)
    return _within(offset_DHW3, outline)


def reach_mm(radius_mm: float) -> float:
    """Return how far from the centre an outline may reach: the crop must."""
    return float(min(max(3.0 * radius_mm, 40.0), FARTHEST_MM))


def _ends(
    volume: Volume,
    centre_mm: np.ndarray,
    theta: np.ndarray,
    phi: np.ndarray,
    threshold_hu: float,
    radius_mm: float,
) -> np.ndarray:
    """Length of each ray (polar, azimuth) to the first air, in mm; infinite where it meets none."""
    steps = np.arange(0.0, reach_mm(radius_mm), STEP_MM)
    sin = np.sin(theta)[:, None]
    ray = np.stack(
        [sin * np.cos(phi), sin * np.sin(phi), np.broadcast_to(np.cos(theta)[:, None], (POLAR, AZIMUTH))], -1
    )
    points = centre_mm + ray[:, :, None, :] * steps[:, None]
    index = volume.to_index(points.reshape(-1, 3)).T
    hu = ndimage.map_coordinates(volume.hu_DHW, index, np.float32, order=1, mode="nearest")
    dense = hu.reshape(POLAR, AZIMUTH, len(steps)) >= threshold_hu
    dense[:, :, steps <= radius_mm / 2] = True
    dense = ndimage.binary_closing(dense, np.ones((1, 1, GAP_STEPS)), border_value=0) | dense
    ends = np.where(dense.all(axis=2), np.inf, np.argmin(dense, axis=2) * STEP_MM - STEP_MM / 2)
    return np.asarray(ends)


def _median(values: np.ndarray, weights: np.ndarray, member: np.ndarray) -> float:
    order = np.argsort(values[member])
    share = np.cumsum(weights[member][order])
    return float(values[member][order][np.searchsorted(share, share[-1] / 2)])


def _within(offset_DHW3: np.ndarray, outline: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(offset_DHW3, -1, 0)
    away = np.sqrt(x**2 + y**2 + z**2)
    polar = np.arccos(np.clip(z / np.maximum(away, 1e-6), -1, 1)) * POLAR / np.pi - 0.5
    azimuth = np.arctan2(y, x) * AZIMUTH / (2 * np.pi) % AZIMUTH
    wrapped = np.pad(outline, ((0, 0), (0, 1)), mode="wrap")
    length = ndimage.map_coordinates(wrapped, [polar, azimuth], order=1, mode="nearest")
    return np.asarray(away <= length)
