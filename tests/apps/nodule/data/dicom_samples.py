"""Small series, good and bad, made afresh for each test: a chest of 24 slices in a few kilobytes."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, Sequence
from pydicom.uid import UID, EnhancedCTImageStorage, ExplicitVRLittleEndian

from apps.nodule.data.dicom_write import CTHeader, ct_datasets, derive_uid
from apps.nodule.data.load import load
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.volume import Volume
from core.errors import ItemRefused

SLICES, ROWS, COLUMNS = 24, 32, 40
STEP_MM, ROW_MM, COLUMN_MM = 2.5, 0.8, 0.7
ORIGIN_MM = (-10.5, -20.25, 30.0)
CANARY = "CANARY7Q"
UID_CANARY = "1.2.3.7777777"


def grid_affine(
    along: Iterable[float] = (1, 0, 0),
    down: Iterable[float] = (0, 1, 0),
    step: Iterable[float] = (0, 0, STEP_MM),
) -> np.ndarray:
    """Rows run along `along` (W axis), columns run `down` (H axis), slices advance by `step`, LPS mm."""
    affine = np.eye(4)
    affine[:3, 0] = list(step)
    affine[:3, 1] = np.array(list(down)) * ROW_MM
    affine[:3, 2] = np.array(list(along)) * COLUMN_MM
    affine[:3, 3] = ORIGIN_MM
    return affine


def chest_volume(
    affine: np.ndarray | None = None,
    slices: int = SLICES,
    rows: int = ROWS,
    columns: int = COLUMNS,
    uid: str = "chest",
) -> Volume:
    """Air, a body of soft tissue, two lungs; every slice differs from every other by its noise."""
    h, w = np.mgrid[0:rows, 0:columns]
    h, w = (h - rows / 2) / rows, (w - columns / 2) / columns
    hu_HW = np.where(h**2 + w**2 < 0.2, 40, -1000)
    hu_HW = np.where(h**2 / 2 + (np.abs(w) - 0.2) ** 2 < 0.015, -850, hu_HW)
    noise_DHW = np.random.default_rng(7).integers(-20, 21, (slices, rows, columns))
    return Volume((hu_HW + noise_DHW).astype(np.int16), grid_affine() if affine is None else affine, uid)


def chest_series(volume: Volume | None = None, **header: object) -> list[Dataset]:
    """The data sets of a series in D order."""
    return ct_datasets(volume or chest_volume(), CTHeader(**header))  # type: ignore[arg-type]


def save(datasets: Iterable[Dataset], folder: Path, prefix: str = "") -> list[Path]:
    """Write data sets as `<prefix>000`, `<prefix>001`, ...: no extension, as archives do."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        path = folder / f"{prefix}{number:03d}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def set_stored(dataset: Dataset, stored_HW: np.ndarray, bits: int = 16) -> None:
    """Replace the pixels by stored values; signed or unsigned as the array is."""
    dataset.PixelRepresentation = int(stored_HW.dtype.kind == "i")
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelData = stored_HW.tobytes()


def other_class(sop_class: str, modality: str, slices: int = 1) -> list[Dataset]:
    """A series of another SOP class in a series of its own, with the pixels of the chest."""
    datasets = chest_series(series_uid=derive_uid("other", sop_class, modality))[:slices]
    for dataset in datasets:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
        dataset.Modality = modality
    return datasets


def report() -> Dataset:
    """A dose report: no pixels at all."""
    dataset = other_class("1.2.840.10008.5.1.4.1.1.88.67", "SR")[0]
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    return dataset


def enhanced_series(volume: Volume, order: Iterable[int] | None = None) -> Dataset:
    """One Enhanced CT object whose frames lie in the order given; slope 2, intercept -1024 - frame."""
    numbers = list(order) if order is not None else list(range(len(volume.hu_DHW)))
    singles = chest_series(volume)
    dataset = deepcopy(singles[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                    "RescaleSlope", "RescaleIntercept", "RescaleType"):  # fmt: skip
        del dataset[keyword]
    dataset.NumberOfFrames = len(numbers)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(singles[0], "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_item(singles[0], "ImageOrientationPatient")]
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups, frames = [], []
    for number in numbers:
        group = Dataset()
        group.PlanePositionSequence = [_item(singles[number], "ImagePositionPatient")]
        rescale = Dataset()
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = "2", str(-1024 - number), "HU"
        group.PixelValueTransformationSequence = [rescale]
        groups.append(group)
        frames.append((volume.hu_DHW[number].astype(np.int32) + 1024 + number) // 2)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.PixelData = np.stack(frames).astype("<u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _item(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source[keyword].value)
    return item


def only(folder: Path) -> SeriesItem:
    """The one series of a folder, accepted."""
    items = scan(folder)
    assert len(items) == 1, [item.code for item in items]
    assert items[0].status == "accepted", items[0].sentence
    return items[0]


def refusal(folder: Path) -> tuple[str, str]:
    """Code and sentence with which loading the one series of a folder ends."""
    with pytest.raises(ItemRefused) as caught:
        load(only(folder))
    return caught.value.code, caught.value.sentence


def assert_same(volume: Volume, wanted: Volume, atol: float = 1e-9) -> None:
    """Equal voxels at equal positions."""
    np.testing.assert_array_equal(volume.hu_DHW, wanted.hu_DHW)
    np.testing.assert_allclose(volume.affine, wanted.affine, atol=atol)
