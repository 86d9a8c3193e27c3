"""Grey pictures of a finding in three planes and of the whole scan, with what is drawn over them.

Pixels are uint8, the overlay is kept apart as lines in pixel units: a page draws it as vectors, a capture as pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import contourpy
import numpy as np
from PIL import Image
from scipy import ndimage

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Finding

HALF_MM = 25.0
WINDOW_CENTRE_HU, WINDOW_WIDTH_HU = -600.0, 1500.0
_OUTSIDE_HU = -1350
_SAMPLES = 160

# Unit steps (LPS) along a picture's columns and rows, as a radiologist hangs it, and the letters at its sides
# (left, right, top, bottom): seen from the feet, from the front, from the patient's left.
_VIEWS = {
    "Axial": ((1, 0, 0), (0, 1, 0), "RLAP"),
    "Coronal": ((1, 0, 0), (0, 0, -1), "RLSI"),
    "Sagittal": ((0, 1, 0), (0, 0, -1), "APSI"),
}


@dataclass(frozen=True, eq=False)
class Plane:
    """One picture.

    grey_HW: uint8. outlines: (N, 2) lines in pixels (x, y). mm: side of a pixel. letters: sides of the patient at
    left, right, top and bottom.
    """

    name: str
    grey_HW: np.ndarray
    outlines: tuple[np.ndarray, ...]
    mm: float
    letters: str


@dataclass(frozen=True, eq=False)
class Overview:
    """The whole scan summed along one direction, like a radiograph; marks_N2: the findings in pixels (x, y)."""

    name: str
    grey_HW: np.ndarray
    marks_N2: np.ndarray
    letters: str


def window(hu: np.ndarray) -> np.ndarray:
    """Map HU to 0..255 (uint8) through the lung window −600 / 1500."""
    low = WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2
    return np.clip((hu - low) * (255.0 / WINDOW_WIDTH_HU), 0, 255).round().astype(np.uint8)


def planes(volume: Volume, finding: Finding, pixels: int = 320) -> list[Plane]:
    """Return the axial, coronal and sagittal plane through the finding's centre, 50 mm wide, `pixels` square.

    Cut along the patient's axes whatever the scan's own are; what lies outside the scan is black. The scan is
    sampled at 160 points a side, about two a voxel, and enlarged from there.
    """
    offsets = (np.arange(_SAMPLES) - (_SAMPLES - 1) / 2) * (2 * HALF_MM / _SAMPLES)
    points = [_points(finding, offsets, view) for view in _VIEWS.values()]
    index_K3 = volume.to_index(np.concatenate(points))
    shape = (len(_VIEWS), _SAMPLES, _SAMPLES)
    grey = window(_sample(volume.hu_DHW, index_K3)).reshape(shape)
    inside = _sample_mask(finding, index_K3).reshape(shape)
    return [
        Plane(name, _enlarge(grey_HW, pixels), _outlines(inside_HW, pixels), 2 * HALF_MM / pixels, letters)
        for (name, (_, _, letters)), grey_HW, inside_HW in zip(_VIEWS.items(), grey, inside, strict=True)
    ]


def _enlarge(grey_HW: np.ndarray, pixels: int) -> np.ndarray:
    return np.asarray(Image.fromarray(grey_HW).resize((pixels, pixels), Image.Resampling.BICUBIC))


def _outlines(inside_HW: np.ndarray, pixels: int) -> tuple[np.ndarray, ...]:
    scale = pixels / _SAMPLES
    lines = contourpy.contour_generator(z=inside_HW).lines(0.5)
    return tuple((np.asarray(line) + 0.5) * scale - 0.5 for line in lines)


def _points(
    finding: Finding, offsets: np.ndarray, view: tuple[Sequence[int], Sequence[int], str]
) -> np.ndarray:
    """LPS points of a picture's pixels in row order, (pixels², 3) mm."""
    right, down, _ = (np.asarray(item) for item in view)
    across = offsets[None, :, None] * right
    along = offsets[:, None, None] * down
    return (np.asarray(finding.candidate.centre_mm) + across + along).reshape(-1, 3)


def _sample(hu_DHW: np.ndarray, index_K3: np.ndarray) -> np.ndarray:
    """Interpolate cubically at fractional indices; only the part of the volume that is needed is filtered."""
    pad = 4
    last = np.array(hu_DHW.shape) - 1
    low = np.clip(np.floor(index_K3.min(axis=0)).astype(int) - pad, 0, last)
    high = np.clip(np.ceil(index_K3.max(axis=0)).astype(int) + pad, low, last)
    part = hu_DHW[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))].astype(np.float32)
    hu_K = ndimage.map_coordinates(part, (index_K3 - low).T, order=3, mode="nearest", output=np.float32)
    outside_K = ((index_K3 < -0.5) | (index_K3 > last + 0.5)).any(axis=1)
    hu_K[outside_K] = _OUTSIDE_HU
    return hu_K


def _sample_mask(finding: Finding, index_K3: np.ndarray) -> np.ndarray:
    mask = finding.mask_DHW.astype(np.float32)
    index = (index_K3 - np.array(finding.corner_DHW)).T
    return ndimage.map_coordinates(mask, index, order=1, mode="constant", cval=0.0, output=np.float32)


def overviews(volume: Volume, findings: Sequence[Finding], height: int = 420) -> list[Overview]:
    """Return the scan from the front and from the patient's left, at most `height` pixels high, findings marked."""
    axes = _patient_axes(volume)
    centres_N3 = np.array([finding.candidate.centre_mm for finding in findings]).reshape(-1, 3)
    index_N3 = volume.to_index(centres_N3)
    density_DHW = volume.hu_DHW
    return [
        _project(density_DHW, volume, index_N3, axes[1], axes[0], axes[2], ("Front", "RLSI"), height),
        _project(density_DHW, volume, index_N3, axes[0], axes[1], axes[2], ("Left side", "APSI"), height),
    ]


def _patient_axes(volume: Volume) -> list[tuple[int, int]]:
    """For the patient's x, y, z: (index axis that runs nearest to it, +1 or -1 for its direction)."""
    steps = volume.affine[:3, :3] / volume.spacing_mm
    axes: list[tuple[int, int]] = []
    free = {0, 1, 2}
    for row in steps:
        axis = max(free, key=lambda candidate: abs(row[candidate]))
        free.discard(axis)
        axes.append((axis, 1 if row[axis] > 0 else -1))
    return axes


def _project(
    hu_DHW: np.ndarray,
    volume: Volume,
    index_N3: np.ndarray,
    through: tuple[int, int],
    across: tuple[int, int],
    up: tuple[int, int],
    names: tuple[str, str],
    height: int,
) -> Overview:
    grey_HW = _radiograph(hu_DHW, through[0])
    kept = [axis for axis in (0, 1, 2) if axis != through[0]]
    if kept != [up[0], across[0]]:
        grey_HW = grey_HW.T
    rows, columns = grey_HW.shape
    x_N, y_N = index_N3[:, across[0]] + 0.5, index_N3[:, up[0]] + 0.5
    if across[1] < 0:
        grey_HW, x_N = grey_HW[:, ::-1], columns - x_N
    if up[1] > 0:
        grey_HW, y_N = grey_HW[::-1], rows - y_N
    size_mm = np.array([columns * volume.spacing_mm[across[0]], rows * volume.spacing_mm[up[0]]])
    scale = height / max(size_mm[1], size_mm[0])
    width, tall = (max(1, round(float(v))) for v in size_mm * scale)
    picture = Image.fromarray(np.ascontiguousarray(grey_HW)).resize((width, tall), Image.Resampling.BICUBIC)
    marks_N2 = np.column_stack([x_N * width / columns, y_N * tall / rows])
    return Overview(names[0], np.asarray(picture), marks_N2, names[1])


def _radiograph(hu_DHW: np.ndarray, axis: int) -> np.ndarray:
    """Sum attenuation along an axis of the volume and show it as a chest film does: dense is white. uint8, 2-D."""
    step = 2 if hu_DHW.shape[axis] >= 128 else 1
    thin = hu_DHW[tuple(slice(None, None, step if a == axis else 1) for a in range(3))]
    # Metal and the padding outside the field of view would otherwise set the scale.
    density = np.clip(thin, -1000, 800).mean(axis=axis, dtype=np.float32)
    low, high = np.percentile(density, [2.0, 99.5])
    shown = np.clip((density - low) / max(float(high - low), 1.0), 0, 1)
    return (255 * shown**1.2).round().astype(np.uint8)
