"""What a detector gives: candidates in patient millimetres, and findings with their voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.nodule.reasons import Note


@dataclass(frozen=True)
class Candidate:
    """A position that may be a nodule.

    centre_mm: LPS (x, y, z), or from the first voxel where the volume is not oriented. diameter_mm: of the sphere of
    equal volume. probability: 0 to 1.

    >>> candidate = Candidate(centre_mm=(-41.5, 12.0, 80.0), diameter_mm=7.5, probability=0.81)
    >>> candidate.diameter_mm, candidate.probability
    (7.5, 0.81)
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    probability: float


@dataclass(frozen=True)
class Detection:
    """What a detector returns for a volume.

    candidates: by falling probability. notes: what a reader should know, such as a limit reached.
    """

    candidates: list[Candidate]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, eq=False)
class Finding:
    """A candidate at or above the working point, with the voxels it covers.

    mask_DHW: bool crop of the volume's own grid, never empty; corner_DHW: index of its first voxel.
    volume_mm3: volume of the mask.

    >>> mask_DHW = np.ones((2, 3, 3), bool)
    >>> finding = Finding(Candidate((0.0, 0.0, 0.0), 4.0, 0.9), mask_DHW, (10, 60, 50), volume_mm3=36.0)
    >>> finding.slices
    (10, 11)
    >>> voxels_DHW = np.zeros((40, 128, 128), bool)
    >>> voxels_DHW[finding.window] = finding.mask_DHW
    >>> int(voxels_DHW.sum())
    18
    """

    candidate: Candidate
    mask_DHW: np.ndarray
    corner_DHW: tuple[int, int, int]
    volume_mm3: float

    @cached_property
    def slices(self) -> tuple[int, ...]:
        """Indices, from 0 and rising, of the slices on which the mask has a voxel."""
        return tuple((np.flatnonzero(self.mask_DHW.any(axis=(1, 2))) + self.corner_DHW[0]).tolist())

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the crop lies in the volume: an index of D, H and W."""
        (d, h, w), (depth, height, width) = self.corner_DHW, self.mask_DHW.shape
        return slice(d, d + depth), slice(h, h + height), slice(w, w + width)
