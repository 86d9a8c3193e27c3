"""Image volumes other than DICOM: NIfTI, MetaImage and NRRD.

NIfTI is read here (`nifti`), the others through SimpleITK. A volume is brought to axes near L, P, S (only by swapping
and flipping axes, so no voxel changes): slices rise towards the head as in DICOM, however the file stores them.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from apps.nodule.data.files import HEADER_BYTES, volume_suffix, voxel_files
from apps.nodule.data.nifti import CHUNK, NiftiHeader, read_nifti_header, read_nifti_voxels
from apps.nodule.data.pixels import AIR_HU, MAX_HU, looks_like_hounsfield
from apps.nodule.data.quiet import native_stderr_muted
from apps.nodule.data.select import judge_extent, judge_size
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_grid import near_lps, settled, to_lps
from apps.nodule.reasons import Note, Reason, accept, note, refuse, verdict_of
from core.data.paths import encodable
from core.errors import ItemRefused

ORTHOGONAL = 1e-4
# Without these a header says nothing of how its axes lie in the patient, and ITK makes something up.
META_ORIENTATION = re.compile(rb"^(TransformMatrix|Orientation|Rotation)\s*=", re.MULTILINE)
NRRD_ORIENTATION = re.compile(rb"^space:[\s\S]*^space directions:", re.MULTILINE)
META_COMPRESSED = re.compile(rb"^CompressedData\s*=\s*True", re.MULTILINE | re.IGNORECASE)
META_LOCAL = re.compile(rb"^ElementDataFile\s*=\s*LOCAL\s*?\r?\n", re.MULTILINE)
ZLIB_OR_GZIP = 47


@dataclass(frozen=True)
class Layout:
    """What a header says: voxels along x, y, z and more, channels, affine (x, y, z, 1) to LPS mm, and notes."""

    size: tuple[int, ...]
    channels: int
    affine: np.ndarray
    is_oriented: bool
    notes: tuple[Note, ...]
    nifti: NiftiHeader | None


def judge_volume(path: Path) -> tuple[Reason, Layout | None]:
    """Return the verdict on a volume file from its header alone, and what that says, within `quiet_libraries`."""
    try:
        layout = _checked(path)
        settled(layout.affine, layout.size[:3])
    except ItemRefused as refusal:
        return verdict_of(refusal), None
    axis = near_lps(layout.affine)[0][0]
    slices, step = layout.size[axis], float(np.linalg.norm(layout.affine[:3, axis]))
    left_aside = judge_extent(slices, step) or judge_size(*layout.size)
    return (left_aside, None) if left_aside else (accept("ct_volume", slices=slices), layout)


def _checked(path: Path) -> Layout:
    if any(not data.resolve().is_relative_to(path.parent.resolve()) for data in voxel_files(path)):
        raise refuse("voxels_outside")
    is_nifti = (volume_suffix(path.name) or "").startswith(".nii")
    layout = _nifti_layout(path) if is_nifti else _itk_layout(path)
    axes = len(layout.size)
    if layout.channels != 1:
        raise refuse("volume_colour", channels=layout.channels)
    if axes < 3 or max(layout.size[3:], default=1) > 1:
        raise refuse("volume_axes", axes=axes)
    return layout


def _nifti_layout(path: Path) -> Layout:
    header = read_nifti_header(path)
    size, channels = list(header.shape), header.channels
    if len(size) == 5 and size[3] == 1:  # the fifth axis counts the numbers of one voxel (nifti1.h)
        size, channels = size[:3], channels * size[4]
    if header.affine is None:
        raise refuse("volume_geometry")
    return Layout(tuple(size), channels, header.affine, header.is_oriented, header.notes, header)


def _itk_layout(path: Path) -> Layout:
    reader = sitk.ImageFileReader()
    try:
        with native_stderr_muted(), encodable(path) as readable:
            reader.SetFileName(str(readable))
            reader.ReadImageInformation()
    except RuntimeError:
        raise refuse("unreadable_volume") from None
    axes = reader.GetDimension()
    affine = np.eye(4)
    if axes >= 3:
        directions = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
        affine[:3, :3] = directions * np.array(reader.GetSpacing()[:3])
        affine[:3, 3] = reader.GetOrigin()[:3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        raise refuse("volume_geometry")
    is_oriented = _states_orientation(path)
    notes = () if is_oriented else (note("no_orientation"),)
    return Layout(reader.GetSize(), reader.GetNumberOfComponents(), affine, is_oriented, notes, None)


def _states_orientation(path: Path) -> bool:
    with path.open("rb") as stream:
        text = stream.read(HEADER_BYTES)
    wanted = META_ORIENTATION if path.name.lower().endswith((".mhd", ".mha")) else NRRD_ORIENTATION
    return wanted.search(text) is not None


def read_volume_file(path: Path, uid: str, layout: Layout | None = None) -> Volume:
    """Read a volume file of Hounsfield units, within `quiet_libraries`.

    layout: what `judge_volume` read of its header; None reads it now.
    Raises ItemRefused: unreadable_volume, truncated, damaged_file, volume_axes, volume_colour, volume_geometry,
    volume_not_finite, shear_too_large, values_not_hu.
    """
    layout = layout or _checked(path)
    values_zyx = read_nifti_voxels(path, layout.nifti) if layout.nifti else _itk_voxels(path)
    values_DHW, affine = to_lps(values_zyx, layout.affine)
    hu_DHW = as_hounsfield(values_DHW)
    index_affine, notes = settled(affine, hu_DHW.shape)
    return Volume(hu_DHW, index_affine, uid, notes=(*layout.notes, *notes), is_oriented=layout.is_oriented)


def _itk_voxels(path: Path) -> np.ndarray:
    try:
        with native_stderr_muted(), encodable(path) as readable:
            image = sitk.ReadImage(str(readable))
    except RuntimeError:
        raise refuse("unreadable_volume") from None
    if path.name.lower().endswith((".mhd", ".mha")):
        _check_stream(path)
    values = sitk.GetArrayFromImage(image)
    return values.reshape(values.shape[-3:])


def _check_stream(path: Path) -> None:
    """MetaIO goes on with what it has of a damaged stream: follow it to its checksum."""
    with path.open("rb") as stream:
        text = stream.read(HEADER_BYTES)
    local = META_LOCAL.search(text)
    files = voxel_files(path)
    if not META_COMPRESSED.search(text) or not (local or len(files) == 1):
        return
    unpacker = zlib.decompressobj(ZLIB_OR_GZIP)
    try:
        with (path if local else files[0]).open("rb") as stream:
            stream.seek(local.end() if local else 0)
            while not unpacker.eof and (chunk := stream.read(CHUNK)):
                unpacker.decompress(chunk)
    except (OSError, zlib.error):
        raise refuse("damaged_file") from None
    if not unpacker.eof:
        raise refuse("truncated", files=1, total=1)


def as_hounsfield(values_DHW: np.ndarray) -> np.ndarray:
    """Return int16 where every value is whole, else float32, both from -1024 HU up.

    values_DHW: any type of number. Raises ItemRefused: volume_not_finite, values_not_hu.
    """
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
        with encodable(like) as readable:
            reader.SetFileName(str(readable))
            reader.ReadImageInformation()
        axes = reader.GetDimension()
        directions = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
        code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(directions.ravel().tolist())
        image = sitk.DICOMOrient(image, code)
    compress = path.suffix != ".nii"
    with encodable(path) as writable:
        sitk.WriteImage(image, str(writable), useCompression=compress)
