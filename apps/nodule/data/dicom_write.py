"""Write a Volume as a CT Image Storage series: phantoms, the demo and tests start from real DICOM files.

The same volume and arguments give the same bytes and UIDs; no clock is read.
Source: DICOM PS3.3 A.3 (CT Image IOD).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from apps.nodule.data.geometry import slice_normal
from apps.nodule.data.volume import Volume

UID_NAMESPACE = uuid.UUID("5b0d8f0e-6d5c-5f0b-9a52-0c7b1f3a2d44")
INTERCEPT = -1024
BITS = 16
ORTHOGONAL = 1e-6


@dataclass(frozen=True)
class CTHeader:
    """What a series says of patient, study and scanner; the defaults are a phantom's.

    Dates are YYYYMMDD, times HHMMSS. A UID left None is derived from the volume's uid and all other fields.
    slice_thickness_mm None: the distance of the slices.
    """

    patient_id: str = "PHANTOM"
    patient_name: str = "Phantom^Chest"
    study_uid: str | None = None
    series_uid: str | None = None
    frame_of_reference_uid: str | None = None
    study_date: str = "20200101"
    study_time: str = "120000"
    series_number: int = 1
    series_description: str = "Chest phantom"
    kvp: int = 120
    convolution_kernel: str = "STANDARD"
    slice_thickness_mm: float | None = None
    manufacturer: str = "Triptych"


def derive_uid(*parts: object) -> str:
    """Return a UID of the 2.25 root (PS3.5 B.2) that the parts determine."""
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, '|'.join(map(str, parts))).int}"


def write_ct_series(
    volume: Volume,
    folder: Path,
    *,
    header: CTHeader | None = None,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write one file a slice, `0001.dcm` upwards in D order, into a folder that is made; returns their paths.

    Values are rounded to whole HU. transfer_syntax: uncompressed, RLE Lossless or JPEG-LS.
    Raises ValueError where rows and columns of the grid are not orthogonal, or a value lies beyond
    -1024..64511 HU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(ct_datasets(volume, header or CTHeader()), start=1):
        if transfer_syntax.is_compressed and transfer_syntax.is_encapsulated:
            dataset.compress(transfer_syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
        path = folder / f"{number:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def ct_datasets(volume: Volume, header: CTHeader) -> list[Dataset]:
    """Return one CT Image data set a slice in D order, explicit little endian, ready to be saved."""
    _check(volume)
    stored_DHW = (np.rint(volume.hu_DHW).astype(np.int32) - INTERCEPT).astype("<u2")
    return [_dataset(volume, header, d, stored_HW) for d, stored_HW in enumerate(stored_DHW)]


def _check(volume: Volume) -> None:
    low, high = float(volume.hu_DHW.min()), float(volume.hu_DHW.max())
    if low < INTERCEPT or high > INTERCEPT + 2**BITS - 1:
        raise ValueError(
            f"values lie in {low:.0f}..{high:.0f} HU, wanted {INTERCEPT}..{INTERCEPT + 2**BITS - 1}"
        )
    column, row = volume.affine[:3, 1], volume.affine[:3, 2]
    if abs(column @ row) > ORTHOGONAL * np.linalg.norm(column) * np.linalg.norm(row):
        raise ValueError("rows and columns of the grid are not orthogonal; DICOM cannot hold such images")


def _dataset(volume: Volume, header: CTHeader, d: int, stored_HW: np.ndarray) -> Dataset:
    series_uid = header.series_uid or derive_uid("series", volume.uid, header)
    dataset = Dataset()
    _add_patient_and_study(dataset, volume, header)
    _add_series(dataset, header, series_uid)
    dataset.FrameOfReferenceUID = header.frame_of_reference_uid or derive_uid("frame", volume.uid, header)
    dataset.PositionReferenceIndicator = ""
    _add_acquisition(dataset, header, d)
    _add_plane(dataset, volume, header, d)
    _add_pixels(dataset, stored_HW)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = derive_uid("instance", volume.uid, series_uid, d)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _add_patient_and_study(dataset: Dataset, volume: Volume, header: CTHeader) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = header.patient_name
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyInstanceUID = header.study_uid or derive_uid("study", volume.uid, header)
    dataset.StudyDate = header.study_date
    dataset.StudyTime = header.study_time
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = ""
    dataset.AccessionNumber = ""


def _add_series(dataset: Dataset, header: CTHeader, series_uid: str) -> None:
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = header.series_number
    dataset.SeriesDescription = header.series_description
    dataset.SeriesDate = header.study_date
    dataset.SeriesTime = header.study_time
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.Manufacturer = header.manufacturer
    dataset.ManufacturerModelName = "Triptych"


def _add_acquisition(dataset: Dataset, header: CTHeader, d: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = d + 1
    dataset.AcquisitionNumber = 1
    for name in ("Acquisition", "Content"):
        setattr(dataset, f"{name}Date", header.study_date)
        setattr(dataset, f"{name}Time", header.study_time)
    dataset.KVP = header.kvp
    dataset.ConvolutionKernel = header.convolution_kernel


def _add_plane(dataset: Dataset, volume: Volume, header: CTHeader, d: int) -> None:
    step, down, along = (volume.affine[:3, axis] for axis in range(3))
    spacing = volume.spacing_mm
    orientation = np.concatenate([along / spacing[2], down / spacing[1]])
    thickness = header.slice_thickness_mm or abs(float(step @ slice_normal(orientation)))
    dataset.PixelSpacing = _decimals(spacing[1:])  # rows' distance first (PS3.3 10.7.1.1)
    dataset.ImageOrientationPatient = _decimals(orientation)
    dataset.ImagePositionPatient = _decimals(volume.to_world(np.array([[d, 0, 0]]))[0])
    dataset.SliceThickness = _decimals([thickness])[0]


def _decimals(values: np.ndarray | list[float]) -> list[str]:
    """Return decimal strings of at most 16 characters; a negative zero loses its sign."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def _add_pixels(dataset: Dataset, stored_HW: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = stored_HW.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = BITS
    dataset.HighBit = BITS - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope = "1"
    dataset.RescaleIntercept = str(INTERCEPT)
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-600", "1500"
    dataset.add_new("PixelData", "OW", stored_HW.tobytes())
