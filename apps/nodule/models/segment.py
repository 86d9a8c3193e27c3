"""From a candidate to its voxels: a threshold between the nodule and its lung, one connected piece near the centre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.radial import radial_mask, reach_mm

LUNG_HU = -850.0
LOWEST_THRESHOLD_HU = -750.0  # below lies lung, however faint the nodule
REACH = 1.3  # radii from the centre that a mask may reach, and a voxel more
NECK_MM = 1.2  # vessels thinner than twice this are cut off from larger nodules
LARGE_MM = 20.0  # above it the outline is measured by rays, and may be larger than the candidate
PLAUSIBLE = (0.15, 2.5)  # mask volume over that of the ball; beyond, the ball is taken


def segment(volume: Volume, candidate: Candidate) -> Finding:
    """Return the finding of a candidate: its mask on the volume's own grid, never empty.

    Where no plausible piece is found (a faint or merged nodule), the mask is the ball of the candidate's diameter.
    """
    large = _large(volume, candidate) if candidate.diameter_mm > LARGE_MM else None
    return large or _small(volume, candidate)


def measured(finding: Finding) -> Candidate:
    """Return the candidate with the diameter of the ball that holds the finding's volume."""
    diameter = float(np.cbrt(6 * finding.volume_mm3 / np.pi))
    return replace(finding.candidate, diameter_mm=diameter)


def _small(volume: Volume, candidate: Candidate) -> Finding:
    radius = candidate.diameter_mm / 2
    corner, shape = _crop(volume, candidate, radius * REACH)
    hu_DHW = _cut(volume, corner, shape)
    away_mm = np.linalg.norm(_offsets(volume, candidate, corner, shape), axis=-1)
    ball = away_mm <= max(radius, float(away_mm.min()))
    mask = _piece(hu_DHW, away_mm, radius, volume.spacing_mm)
    share = mask.sum() / ball.sum()
    if not PLAUSIBLE[0] <= share <= PLAUSIBLE[1]:
        mask = ball
    return _finding(volume, candidate, mask, corner)


def _large(volume: Volume, candidate: Candidate) -> Finding | None:
    radius = candidate.diameter_mm / 2
    corner, shape = _crop(volume, candidate, reach_mm(radius))
    hu_DHW = _cut(volume, corner, shape)
    offsets = _offsets(volume, candidate, corner, shape)
    away_mm = np.linalg.norm(offsets, axis=-1)
    threshold = _threshold(hu_DHW, away_mm, radius)
    inside = radial_mask(volume, np.array(candidate.centre_mm), offsets, threshold, radius)
    if inside is None:
        return None
    mask = ndimage.binary_fill_holes(_nearest_piece(inside & (hu_DHW >= threshold), away_mm))
    return _finding(volume, candidate, mask, corner) if mask.any() else None


def _finding(volume: Volume, candidate: Candidate, mask: np.ndarray, corner: list[int]) -> Finding:
    tight = ndimage.find_objects(mask.astype(np.uint8))[0]
    d, h, w = (c + s.start for c, s in zip(corner, tight, strict=True))
    return Finding(candidate, mask[tight].copy(), (d, h, w), float(mask.sum()) * volume.voxel_mm3)


def _crop(volume: Volume, candidate: Candidate, reach_mm: float) -> tuple[list[int], list[int]]:
    """First voxel and size of the box that holds every voxel within reach; at least one voxel of the volume."""
    reach_mm += float(volume.spacing_mm.max()) + 1.0
    # a ball's extent along each index axis, right for oblique and sheared grids too
    per_mm = np.linalg.norm(np.linalg.inv(volume.affine[:3, :3]), axis=1)
    centre = volume.to_index(np.array([candidate.centre_mm]))[0]
    size = np.array(volume.hu_DHW.shape)
    low = np.clip(np.floor(centre - reach_mm * per_mm).astype(int), 0, size - 1)
    high = np.clip(np.ceil(centre + reach_mm * per_mm).astype(int), 0, size - 1)
    return low.tolist(), (high - low + 1).tolist()


def _cut(volume: Volume, corner: list[int], shape: list[int]) -> np.ndarray:
    box = tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    return volume.hu_DHW[box].astype(np.float32)


def _offsets(volume: Volume, candidate: Candidate, corner: list[int], shape: list[int]) -> np.ndarray:
    """Place of each voxel from the centre (D, H, W, 3), LPS mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1) + corner
    world = volume.to_world(index.reshape(-1, 3))
    return (world - candidate.centre_mm).reshape(*shape, 3)


def _threshold(hu_DHW: np.ndarray, away_mm: np.ndarray, radius: float) -> float:
    """Half-way between the nodule's middle and lung."""
    core = away_mm <= max(radius / 2, float(away_mm.min()))
    return max((float(np.median(hu_DHW[core])) + LUNG_HU) / 2, LOWEST_THRESHOLD_HU)


def _piece(hu_DHW: np.ndarray, away_mm: np.ndarray, radius: float, spacing_mm: np.ndarray) -> np.ndarray:
    reach = away_mm <= radius * REACH + float(spacing_mm.max()) / 2
    dense = (hu_DHW >= _threshold(hu_DHW, away_mm, radius)) & reach
    if radius > 2.5 * NECK_MM:
        depth = ndimage.distance_transform_edt(dense, sampling=spacing_mm)
        trunk = _nearest_piece(depth > NECK_MM, away_mm)
        near_trunk = ndimage.distance_transform_edt(~trunk, sampling=spacing_mm) <= NECK_MM
        dense = dense & near_trunk if trunk.any() else dense
    return ndimage.binary_fill_holes(_nearest_piece(dense, away_mm))


def _nearest_piece(mask: np.ndarray, away_mm: np.ndarray) -> np.ndarray:
    """Keep the connected piece that comes nearest to the centre."""
    if not mask.any():
        return mask
    labels, _ = ndimage.label(mask)
    nearest = np.unravel_index(np.argmin(np.where(mask, away_mm, np.inf)), mask.shape)
    return labels == labels[nearest]
