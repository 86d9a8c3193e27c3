"""Image volumes that are no DICOM: NIfTI, MetaImage and NRRD, read and written through SimpleITK.

ITK turns NIfTI's RAS coordinates to LPS. A volume is brought to axes near L, P, S (only by swapping and
flipping axes, so no voxel changes): slices rise towards the head as in DICOM, however the file stores them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from apps.nodule.data import nifti
from apps.nodule.data.files import volume_suffix, voxel_files
from apps.nodule.data.pixels import AIR_HU, MAX_HU, looks_like_hounsfield
from apps.nodule.data.quiet import native_stderr_muted
from apps.nodule.data.reasons import QUARANTINED, Reason, accept, fault, refuse
from apps.nodule.data.select import judge_extent, judge_size
from apps.nodule.data.volume import Volume
from core.errors import ItemRefused

LPS = "LPS"
ORTHOGONAL = 1e-4


def judge_volume(path: Path) -> Reason:
    """Return the verdict on a volume file from its header alone, within `quiet_libraries`."""
    if not is_unicode(path):  # ITK ends the whole process
        return fault("name_not_unicode")
    if any(not data.resolve().is_relative_to(path.parent.resolve()) for data in voxel_files(path)):
        return fault("voxels_outside")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with native_stderr_muted():
            reader.ReadImageInformation()
    except RuntimeError:
        return fault("unreadable_volume")
    size = [*reader.GetSize(), 1]
    axes = reader.GetDimension()
    if axes < 3 or (axes > 3 and max(size[3:]) > 1):
        return fault("volume_axes", axes=axes)
    if reader.GetNumberOfComponents() != 1:
        return fault("volume_colour", channels=reader.GetNumberOfComponents())
    slices, step = _slices(reader)
    return judge_extent(slices, step) or judge_size(*size) or accept("ct_volume", slices=slices)


def is_unicode(path: Path) -> bool:
    """Tell whether a path's bytes are UTF-8."""
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _slices(reader: sitk.ImageFileReader) -> tuple[int, float]:
    """Return number and distance (mm) of the slices along the axis nearest to the body's long axis."""
    axes = reader.GetDimension()
    directions = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
    axis = int(np.abs(directions[2]).argmax())
    return reader.GetSize()[axis], reader.GetSpacing()[axis]


def read_volume_file(path: Path, uid: str) -> Volume:
    """Read a volume file of Hounsfield units, within `quiet_libraries`.

    Raises ItemRefused: unreadable_volume, truncated, volume_axes, volume_colour, volume_not_finite, values_not_hu.
    """
    verdict = judge_volume(path)
    if verdict.status == QUARANTINED:
        raise ItemRefused(verdict.code, verdict.sentence)
    if (volume_suffix(path.name) or "").startswith(".nii") and not nifti.is_whole(path):
        raise refuse("truncated", files=1, total=1)
    try:
        with native_stderr_muted():
            image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise refuse("unreadable_volume") from None
    if image.GetDimension() > 3:
        image = sitk.Extract(image, [*image.GetSize()[:3], *[0] * (image.GetDimension() - 3)])
    image = sitk.DICOMOrient(image, LPS)
    return Volume(_hounsfield(sitk.GetArrayFromImage(image)), affine_of(image), uid)


def affine_of(image: sitk.Image) -> np.ndarray:
    """Return the (4, 4) affine from array index (d, h, w, 1) to LPS mm of a 3-D ITK image."""
    columns = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = columns[:, ::-1]  # ITK counts its axes x, y, z; arrays are D, H, W
    affine[:3, 3] = image.GetOrigin()
    return affine


def _hounsfield(values_DHW: np.ndarray) -> np.ndarray:
    """Return int16 where every value is whole, else float32, both from -1024 HU up; refuses what is no CT."""
    if values_DHW.dtype.kind == "f":
        wrong = values_DHW.size - int(np.isfinite(values_DHW).sum())
        if wrong:
            raise refuse("volume_not_finite", voxels=wrong)
    if not looks_like_hounsfield(values_DHW):
        raise refuse("values_not_hu")
    clipped_DHW = np.clip(values_DHW, AIR_HU, MAX_HU)
    if clipped_DHW.dtype == np.int16:
        return clipped_DHW
    whole_DHW = clipped_DHW.astype(np.int16)
    return whole_DHW if np.array_equal(whole_DHW, clipped_DHW) else clipped_DHW.astype(np.float32)


def to_image(volume: Volume) -> sitk.Image:
    """Return a volume as an ITK image; raises ValueError for a sheared grid, which no such image can hold."""
    columns = volume.affine[:3, 2::-1]
    spacing = np.linalg.norm(columns, axis=0)
    direction = columns / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > ORTHOGONAL:
        raise ValueError(
            "the volume's axes are sheared (tilted gantry); NIfTI, MHD and NRRD cannot hold that here"
        )
    image = sitk.GetImageFromArray(volume.hu_DHW)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def write_volume_file(volume: Volume, path: Path, *, like: Path | None = None) -> None:
    """Write a volume (or a mask on its grid) by the path's suffix: .nii.gz, .nii, .mhd, .mha, .nrrd.

    like: a volume file whose order of axes the result shall have, so that both share one grid of voxels.
    Raises ValueError for a sheared grid.
    """
    image = to_image(volume)
    if like is not None:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(like))
        reader.ReadImageInformation()
        axes = reader.GetDimension()
        directions = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
        code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(directions.ravel().tolist())
        image = sitk.DICOMOrient(image, code)
    compress = path.suffix != ".nii"
    sitk.WriteImage(image, str(path), useCompression=compress)
