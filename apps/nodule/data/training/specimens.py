"""Real nodules cut from real scans, to be set into other lungs: LIDC-IDRI cubes and volumes of interest.

Source: LIDC-IDRI (Armato et al. 2011, doi:10.1118/1.3528204), The Cancer Imaging Archive, CC BY 3.0.
Axes D H W are feet to head, front to back, right to left (LPS); voxels of 1 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy import ndimage

from apps.nodule.data.resample import to_patient_grid
from apps.nodule.data.volume import Volume

LUNA_DIAMETER = (
    0.89  # LUNA16's diameter over that of the sphere of the outline's volume (median of 900 nodules)
)
FEATHER_MM = 3.0
INNER_MM = 1.0  # this far around the outline the specimen's own voxels count fully


@dataclass(frozen=True, eq=False)
class Specimen:
    """A real nodule with the little of its surroundings that came with it.

    hu_DHW: int16. outline_DHW: bool, as a reader drew it. alpha_DHW: 0..1, 1 within the outline, falling to 0
    three mm outside. centre: centroid of the outline, voxels. diameter_mm: as LUNA16 gives it.
    ratings: the readers' means by name (texture, subtlety, …), empty where not known.
    """

    key: str
    hu_DHW: np.ndarray
    outline_DHW: np.ndarray
    alpha_DHW: np.ndarray
    centre: np.ndarray
    diameter_mm: float
    ratings: dict[str, float]


def load_vois(folder: Path, split: str) -> list[Specimen]:
    """Read the volumes of interest of one split ("train" or "development") at 1 mm.

    folder: holds vois.csv, vois/image/<key>.nii.gz and vois/mask/<key>.nii.gz.
    """
    table = pd.read_csv(folder / "vois.csv")
    rows = table[table["split"] == split].to_dict("records")
    return [specimen for row in rows if (specimen := _voi(folder / "vois", row)) is not None]


def load_cubes(folder: Path, split: str) -> list[Specimen]:
    """Read the cubes of one split: 51 voxels of about 1 mm, the nodule in full context."""
    table = pd.read_csv(folder / "cubes.csv")
    with np.load(folder / "cubes.npz") as packed:
        hu, masks = packed["hu"], packed["mask"]
    chosen = table[table["split"] == split]
    return [_specimen(f"cube-{i}", hu[i], masks[i] > 0, None, {}) for i in chosen["index"] if masks[i].any()]


def _voi(folder: Path, row: dict[str, object]) -> Specimen | None:
    key = str(row["key"])
    image = _read(folder / "image" / f"{key}.nii.gz")
    outline = _read(folder / "mask" / f"{key}.nii.gz")
    hu = to_patient_grid(image, 1.0).hu_DHW
    mask = to_patient_grid(outline, 1.0).hu_DHW > 0.5
    if not mask.any():
        return None
    ratings = {
        n.removesuffix("_value").lower(): float(str(v)) for n, v in row.items() if n.endswith("_value")
    }
    return _specimen(key, np.rint(hu).astype(np.int16), mask, float(str(row["diameter_mm"])), ratings)


def _read(path: Path) -> Volume:
    image = sitk.ReadImage(str(path))
    spacing, direction = np.array(image.GetSpacing()), np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = (direction * spacing)[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).astype(np.float32), affine, path.stem)


def _specimen(
    key: str, hu: np.ndarray, mask: np.ndarray, diameter_mm: float | None, ratings: dict[str, float]
) -> Specimen:
    outside = ndimage.distance_transform_edt(~mask)
    alpha = np.clip(1 - (outside - INNER_MM) / (FEATHER_MM - INNER_MM), 0, 1).astype(np.float32)
    centre = np.array(ndimage.center_of_mass(mask))
    diameter = diameter_mm or LUNA_DIAMETER * float(np.cbrt(6 / np.pi * mask.sum()))
    return Specimen(key, hu.astype(np.int16), mask, alpha, centre, diameter, ratings)
