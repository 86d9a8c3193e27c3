"""The one volume type: Hounsfield units on a grid that an affine places in the patient (LPS, mm)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


from apps.nodule.reasons import Note


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT volume.

    hu_DHW: Hounsfield units, int16 or float32; D slices, H rows, W columns.
    affine: (4, 4) float64, maps an index (d, h, w, 1) to LPS millimetres (x, y, z, 1); it may be oblique or,
        for a tilted gantry, sheared.
    uid: SeriesInstanceUID, or the file's stem where the source is not DICOM.
    sources: DICOM headers without pixel data, one a slice in D order (one in all for a multi-frame object);
        empty where the source is not DICOM.
    notes: each repair or peculiarity that a reader should know.
    frames: for each slice in D order the number of its object in `sources` and of its frame in that, both from 0;
        empty where it is not known: slice d is then `sources[d]`, or is matched by its position.
    is_oriented: False where the source does not say how its axes lie in the patient: no side is given.

    Raises ValueError for voxels that are not of three axes, or an affine that is not (4, 4).

    >>> affine = np.array([[0, 0, 0.7, -180], [0, 0.7, 0, -150], [1.25, 0, 0, -300], [0, 0, 0, 1]])
    >>> volume = Volume(np.full((8, 64, 64), -850, np.int16), affine, "1.2.3")
    >>> volume.spacing_mm.tolist(), round(volume.voxel_mm3, 4)
    ([1.25, 0.7, 0.7], 0.6125)
    >>> volume.to_world(np.array([[4, 0, 0]])).tolist()
    [[-180.0, -150.0, -295.0]]
    """

    hu_DHW: np.ndarray
    affine: np.ndarray
    uid: str
    sources: tuple[Dataset, ...] = ()
    notes: tuple[Note, ...] = field(default=())
    frames: tuple[tuple[int, int], ...] = ()
    is_oriented: bool = True

    def __post_init__(self) -> None:
        if self.hu_DHW.ndim != 3:
            raise ValueError(f"hu_DHW has {self.hu_DHW.ndim} axes, wanted 3 (slices, rows, columns)")
        if self.affine.shape != (4, 4):
            raise ValueError(f"affine has shape {self.affine.shape}, wanted (4, 4)")

    @property
    def spacing_mm(self) -> np.ndarray:
        """Distance of neighbouring voxels along D, H and W, (3,) mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel in mm³; right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def has_no_lung(self) -> bool:
        """Whether no lung was found in it, so that no nodule was searched for: its notes say so."""
        return any(code == "no_lung" for code, _ in self.notes)

    def to_world(self, index_N3: np.ndarray) -> np.ndarray:
        """Map indices (N, 3) in (d, h, w) order to LPS mm (N, 3)."""
        return np.asarray(index_N3) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, world_N3: np.ndarray) -> np.ndarray:
        """Map LPS mm (N, 3) to fractional indices (N, 3) in (d, h, w) order."""
        return (np.asarray(world_N3) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
