"""Images in a series that are not slices of it are left out with a note; the rest is read as ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from apps.nodule.data.headers import read_header
from apps.nodule.data.load import load
from apps.nodule.data.series import scan
from apps.nodule.data.slices import has_plain_pixels, slices_among
from tests.apps.nodule.data.dicom_samples import (
    ORIGIN_MM,
    assert_same,
    chest_series,
    chest_volume,
    enhanced_series,
    only,
    save,
    set_stored,
)


def extra() -> Dataset:
    dataset = chest_series()[5]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.77"
    return dataset


def coronal() -> Dataset:
    """A localiser that does not say so, with a frame of reference and a size of its own."""
    dataset = extra()
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.FrameOfReferenceUID = "1.2.3.4.5"
    return sized(dataset, 50, 60)


def sagittal() -> Dataset:
    dataset = extra()
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    return dataset


def sized(dataset: Dataset, rows: int, columns: int) -> Dataset:
    dataset.Rows, dataset.Columns = rows, columns
    set_stored(dataset, np.zeros((rows, columns), np.uint16))
    return dataset


def page() -> Dataset:
    """A dose page stored as CT: 8 bits, with the position of a slice."""
    dataset = extra()
    dataset.BitsAllocated = 8
    set_stored(dataset, np.zeros((dataset.Rows, dataset.Columns), np.uint8), bits=8)
    return dataset


def bare_page() -> Dataset:
    dataset = page()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                    "RescaleIntercept", "SliceThickness", "FrameOfReferenceUID"):  # fmt: skip
        del dataset[keyword]
    return sized(dataset, 40, 40)


def colour_page() -> Dataset:
    dataset = page()
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.PixelData = bytes(dataset.Rows * dataset.Columns * 3)
    return dataset


def other_size() -> Dataset:
    return sized(extra(), 64, 64)


def other_spacing() -> Dataset:
    dataset = extra()
    dataset.PixelSpacing = [1.5, 1.5]
    return dataset


@pytest.mark.parametrize(
    "make",
    [coronal, sagittal, page, bare_page, colour_page, other_size, other_spacing],
    ids=lambda make: make.__name__,
)
def test_one_image_that_is_not_a_slice(tmp_path: Path, make: Callable[[], Dataset]) -> None:
    save(chest_series(), tmp_path)
    save([make()], tmp_path, "x")
    item = only(tmp_path)
    assert len(item.files) == 25
    volume = load(item)
    assert_same(volume, chest_volume())
    sentence = "Objects in the series that are not axial CT images and were left out: 1."
    assert volume.notes == (("others_dropped", sentence),)


def test_a_whole_set_of_coronal_images_beside_the_slices(tmp_path: Path) -> None:
    save(chest_series(), tmp_path)
    for number in range(30):
        dataset = sagittal()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.77.{number}"
        save([dataset], tmp_path, f"x{number}")
    volume = load(only(tmp_path))
    assert_same(volume, chest_volume())
    assert volume.notes[0][1].endswith("left out: 30.")


def test_too_many_of_another_kind_are_a_fault(tmp_path: Path) -> None:
    datasets = chest_series()
    save(datasets[:20] + [sized(dataset, 16, 40) for dataset in datasets[20:]], tmp_path)
    assert [item.code for item in scan(tmp_path)] == ["mixed_sizes"]


def test_a_slice_without_its_position_is_not_a_stray(tmp_path: Path) -> None:
    datasets = chest_series()
    del datasets[23].ImagePositionPatient
    save(datasets, tmp_path)
    assert [item.code for item in scan(tmp_path)] == ["no_geometry"]


def test_a_left_out_image_does_not_hide_a_gap(tmp_path: Path) -> None:
    datasets = chest_series(chest_volume(slices=30))
    save([*datasets[:7], *datasets[8:]], tmp_path)
    save([coronal()], tmp_path, "x")
    (item,) = scan(tmp_path)
    assert item.code == "missing_slices"
    assert item.sentence.endswith("left out: 1.")


def test_which_images_are_kept(tmp_path: Path) -> None:
    images = [read_header(path) for path in save([*chest_series(), page(), coronal()], tmp_path)]
    assert slices_among(images) == images[:24]
    assert slices_among(images[:24]) == images[:24]
    assert [has_plain_pixels(image) for image in images] == [True] * 26
    enhanced = [read_header(path) for path in save([enhanced_series(chest_volume())], tmp_path / "e")]
    assert slices_among(enhanced) == enhanced


def test_positions_are_those_of_the_series_without_it(tmp_path: Path) -> None:
    save([*chest_series(), coronal()], tmp_path)
    np.testing.assert_allclose(load(only(tmp_path)).affine[:3, 3], ORIGIN_MM)
