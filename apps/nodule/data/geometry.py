"""From image positions to one grid: order, duplicates, gaps, unevenness, tilt, and the affine.

Slices are ordered by their position along the normal of ImageOrientationPatient; InstanceNumber says nothing
about position. Source: DICOM PS3.3 C.7.6.2.1.1 (the mapping of a pixel to the patient).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.nodule.data.frames import Frame
from apps.nodule.reasons import Note, note, refuse

# Scanners print positions with as little as one decimal: each is then up to 0.05 mm off, a step between two
# up to 0.1 mm; such a series is regular. LIDC-IDRI-0063 and LungFCP-01-0001 print theirs exactly (2.5 and 1 mm
# with no deviation of 1e-6), so they ask for no more. 2 % lets thick slices round as coarsely in proportion.
STEP_TOLERANCE_MM = 0.1
STEP_TOLERANCE = 0.02
ROUNDING_MM = 2e-3
SAME_PLACE_MM = 0.02  # thinner slices do not exist; the same position printed by two writers differs by less
SAME_DIRECTION = 2e-3
SAME_SPACING = 1e-3
MAX_TILT_DEGREES = 30.0
NOTED_TILT_DEGREES = 0.1
NAMED_GAPS = 3


@dataclass(frozen=True)
class Grid:
    """A regular stack of images.

    slices: for each slice in D order (rising along the normal) the frames that lie there, numbered as given;
        more than one where images repeat.
    affine: (4, 4), index (d, h, w, 1) to LPS mm; sheared where the gantry was tilted.
    notes: notes of peculiarities.
    """

    slices: tuple[tuple[int, ...], ...]
    affine: np.ndarray
    shape_HW: tuple[int, int]
    notes: tuple[Note, ...]

    @property
    def step_mm(self) -> float:
        """Distance of neighbouring slices along the slice axis, mm."""
        return float(np.linalg.norm(self.affine[:3, 0]))


def slice_normal(orientation: np.ndarray) -> np.ndarray:
    """Return the unit normal (3,) of an image: the row direction times the column direction."""
    normal = np.cross(orientation[:3], orientation[3:])
    return normal / np.linalg.norm(normal)


def degrees_off_axial(orientation: np.ndarray) -> float:
    """Return the angle between an image's normal and the body's long axis, 0 to 90 degrees.

    orientation: (6,), direction cosines of rows and columns as ImageOrientationPatient has them (PS3.3 C.7.6.2.1.1).
    """
    return float(np.degrees(np.arccos(np.clip(abs(slice_normal(orientation)[2]), 0, 1))))


def grid_of(frames: list[Frame]) -> Grid:
    """Arrange images to one regular grid of at least two slices.

    Raises ItemRefused: mixed_sizes, mixed_spacings, mixed_orientations, missing_slices, uneven_spacing,
    uneven_positions, tilt_too_large, or too few distinct positions (duplicates_differ).
    """
    _check_alike(frames)
    normal = slice_normal(frames[0].orientation)
    along = np.array([frame.position_mm @ normal for frame in frames])
    slices = _slices(frames, along)
    if len(slices) < 2:
        raise refuse("duplicates_differ", positions=len(slices))
    first_of_slice = [members[0] for members in slices]
    _check_steps(along[first_of_slice])
    step_3 = _straight_step(np.array([frames[i].position_mm for i in first_of_slice]))
    tilt = _check_tilt(step_3, normal)
    notes = (note("gantry_tilt", degrees=tilt),) if tilt > NOTED_TILT_DEGREES else ()
    return Grid(slices, _affine(frames[first_of_slice[0]], step_3), frames[0].shape_HW, notes)


def _check_alike(frames: list[Frame]) -> None:
    sizes = {frame.shape_HW for frame in frames}
    if len(sizes) > 1:
        raise refuse("mixed_sizes", sizes=len(sizes))
    orientations = _distinct(np.array([frame.orientation for frame in frames]), SAME_DIRECTION)
    if orientations > 1:
        raise refuse("mixed_orientations", orientations=orientations)
    spacings = _distinct(np.log([frame.spacing_mm for frame in frames]), SAME_SPACING)
    if spacings > 1:
        raise refuse("mixed_spacings", spacings=spacings)


def _distinct(rows_NK: np.ndarray, tolerance: float) -> int:
    """Count rows that differ from every kind seen before by more than the tolerance."""
    count, left_NK = 0, rows_NK
    while len(left_NK):
        left_NK = left_NK[np.abs(left_NK - left_NK[0]).max(axis=1) > tolerance]
        count += 1
    return count


def _slices(frames: list[Frame], along: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Group frame numbers by position, rising; the order of files never decides between equals."""
    order = sorted(range(len(frames)), key=lambda i: (along[i], *frames[i].position_mm, i))
    slices: list[list[int]] = []
    for i in order:
        if slices and along[i] - along[slices[-1][0]] < SAME_PLACE_MM:
            slices[-1].append(i)
        else:
            slices.append([i])
    return tuple(tuple(sorted(members)) for members in slices)


def step_tolerance(step: float) -> float:
    """Return how far a distance of slices may be off a regular step, mm."""
    return max(STEP_TOLERANCE_MM, STEP_TOLERANCE * step) + ROUNDING_MM


def _check_steps(along: np.ndarray) -> None:
    steps = np.diff(along)
    median = float(np.median(steps))
    tolerance = step_tolerance(median)
    odd = np.abs(steps - median) > tolerance
    if not odd.any():
        return
    step = float(steps[~odd].mean()) if not odd.all() else median
    whole = np.rint(steps / step)
    gaps = odd & (whole >= 2) & (np.abs(steps - whole * step) <= 2 * tolerance)
    if (odd & ~gaps).any():
        raise refuse("uneven_spacing", low=float(steps.min()), high=float(steps.max()))
    where = np.flatnonzero(gaps)
    positions = ", ".join(
        f"{whole[i] - 1:.0f} between {along[i]:.1f} and {along[i + 1]:.1f} mm" for i in where[:NAMED_GAPS]
    )
    if len(where) > NAMED_GAPS:
        positions += f" and {len(where) - NAMED_GAPS} more gaps"
    raise refuse("missing_slices", missing=int((whole[where] - 1).sum()), positions=positions)


def _straight_step(positions_D3: np.ndarray) -> np.ndarray:
    """Return the mean step (3,) from slice to slice; refuses slices that leave the straight line."""
    count = len(positions_D3)
    step_3 = (positions_D3[-1] - positions_D3[0]) / (count - 1)
    line_D3 = positions_D3[0] + np.arange(count)[:, None] * step_3
    offset = float(np.abs(positions_D3 - line_D3).max())
    if offset > step_tolerance(float(np.linalg.norm(step_3))):
        raise refuse("uneven_positions", offset=offset)
    return step_3


def _check_tilt(step_3: np.ndarray, normal: np.ndarray) -> float:
    cosine = step_3 @ normal / np.linalg.norm(step_3)
    tilt = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if tilt > MAX_TILT_DEGREES:
        raise refuse("tilt_too_large", degrees=tilt, limit=MAX_TILT_DEGREES)
    return tilt


def _affine(first: Frame, step_3: np.ndarray) -> np.ndarray:
    """PS3.3 equation C.7.6.2.1-1: a row index moves along the column direction by the row spacing."""
    affine = np.eye(4)
    affine[:3, 0] = step_3
    affine[:3, 1] = first.orientation[3:] * first.spacing_mm[0]
    affine[:3, 2] = first.orientation[:3] * first.spacing_mm[1]
    affine[:3, 3] = first.position_mm
    return affine
