"""From files to a Volume: order, orientation, values, repairs, refusals."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.nodule.data.dicom_write import derive_uid, write_ct_series
from apps.nodule.data.load import load
from apps.nodule.data.series import scan
from apps.nodule.data.volume_files import write_volume_file
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import (
    assert_same,
    chest_series,
    chest_volume,
    grid_affine,
    only,
    refusal,
    save,
    set_stored,
)


def test_a_series_gives_its_volume(tmp_path: Path) -> None:
    save(chest_series(), tmp_path)
    item = only(tmp_path)
    volume = load(item)
    assert_same(volume, chest_volume())
    assert volume.hu_DHW.dtype == np.int16
    assert volume.uid == item.id
    assert volume.notes == ()
    assert [source.InstanceNumber for source in volume.sources] == list(range(1, 25))
    assert not any("PixelData" in source for source in volume.sources)
    np.testing.assert_allclose(volume.spacing_mm, (2.5, 0.8, 0.7))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_names_and_instance_numbers_never_order_slices(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("shuffled")
    datasets = chest_series()
    numbers = list(range(len(datasets)))
    random.Random(seed).shuffle(datasets)
    random.Random(seed + 1).shuffle(numbers)
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
    save(datasets, folder)
    volume = load(only(folder))
    assert volume.hu_DHW.tobytes() == chest_volume().hu_DHW.tobytes()
    assert volume.affine.tobytes() == grid_affine().tobytes()
    z = [float(source.ImagePositionPatient[2]) for source in volume.sources]
    assert z == sorted(z)


@pytest.mark.parametrize(
    "affine",
    [
        grid_affine((-1, 0, 0), (0, -1, 0), (0, 0, 2.5)),
        grid_affine((-1, 0, 0), (0, 1, 0), (0, 0, -2.5)),
        grid_affine((0, 1, 0), (-1, 0, 0), (0, 0, 2.5)),
        grid_affine((0.96, 0.28, 0), (-0.28, 0.96, 0), (0, 0, 2.5)),
        grid_affine((1, 0, 0), (0, 0.8, -0.6), (0, 1.5, 2.0)),
    ],
    ids=["prone", "feet first", "turned", "rotated", "oblique"],
)
def test_any_orientation(tmp_path: Path, affine: np.ndarray) -> None:
    wanted = chest_volume(affine)
    save(chest_series(wanted), tmp_path)
    assert_same(load(only(tmp_path)), wanted)


def test_slices_written_from_head_to_feet_come_out_rising(tmp_path: Path) -> None:
    falling = chest_volume(grid_affine(step=(0, 0, -2.5)))
    save(chest_series(falling), tmp_path)
    volume = load(only(tmp_path))
    np.testing.assert_array_equal(volume.hu_DHW, falling.hu_DHW[::-1])
    np.testing.assert_allclose(volume.affine[:3, 0], (0, 0, 2.5))
    np.testing.assert_allclose(volume.affine[:3, 3], falling.to_world(np.array([[23, 0, 0]]))[0])


def test_a_tilted_gantry_is_carried_exactly(tmp_path: Path) -> None:
    c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
    wanted = chest_volume(grid_affine((1, 0, 0), (0, c, s), (0, 0, 2.5)))
    save(chest_series(wanted), tmp_path)
    volume = load(only(tmp_path))
    assert_same(volume, wanted, atol=1e-6)
    sentence = "The gantry was tilted by 15.0 degrees; positions follow the tilt exactly."
    assert volume.notes == (("gantry_tilt", sentence),)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    wanted = chest_volume()
    datasets = chest_series()
    for d, dataset in enumerate(datasets):
        intercept = -1024 - 3 * d
        dataset.RescaleIntercept = str(intercept)
        set_stored(dataset, (wanted.hu_DHW[d].astype(int) - intercept).astype(np.uint16), bits=12)
    save(datasets, tmp_path)
    assert_same(load(only(tmp_path)), wanted)


def test_one_fractional_slope_makes_the_volume_float(tmp_path: Path) -> None:
    wanted = chest_volume()
    datasets = chest_series()
    datasets[5].RescaleSlope = "0.5"
    set_stored(datasets[5], ((wanted.hu_DHW[5].astype(int) + 1024) * 2).astype(np.uint16))
    save(datasets, tmp_path)
    volume = load(only(tmp_path))
    assert volume.hu_DHW.dtype == np.float32
    np.testing.assert_array_equal(volume.hu_DHW, wanted.hu_DHW)


@pytest.mark.parametrize("turned", [False, True])
def test_monochrome1(tmp_path: Path, turned: bool) -> None:
    """The standard inverts the display alone (PS3.3 C.7.6.3.1.2); writers that invert the values are seen through."""
    datasets = chest_series()
    for dataset in datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(32, 40)
        set_stored(dataset, (4095 - stored if turned else stored).astype(np.uint16), bits=12)
    save(datasets, tmp_path)
    volume = load(only(tmp_path))
    assert_same(volume, chest_volume())
    assert [code for code, _ in volume.notes] == (["monochrome1_inverted"] if turned else [])


def test_inverted_values_without_the_mark_are_refused(tmp_path: Path) -> None:
    datasets = chest_series()
    for dataset in datasets:
        set_stored(dataset, 4095 - np.frombuffer(dataset.PixelData, np.uint16).reshape(32, 40), bits=12)
    save(datasets, tmp_path)
    assert refusal(tmp_path) == (
        "values_not_hu",
        "The values are not Hounsfield units of a chest: they hold no air or no tissue.",
    )


def test_padding_and_a_padding_that_is_tissue(tmp_path: Path) -> None:
    wanted = chest_volume()
    for name, padding in (("pad", 63536), ("tissue", 1064)):
        datasets = chest_series()
        for dataset in datasets:
            stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(32, 40).copy()
            stored[0] = 63536
            set_stored(dataset, stored)
            dataset.PixelPaddingValue = padding
        save(datasets, tmp_path / name)
    volume = load(only(tmp_path / "pad"))
    assert (volume.hu_DHW[:, 0] == -1024).all()
    np.testing.assert_array_equal(volume.hu_DHW[:, 1:], wanted.hu_DHW[:, 1:])
    volume = load(only(tmp_path / "tissue"))
    np.testing.assert_array_equal(volume.hu_DHW[:, 1:], wanted.hu_DHW[:, 1:])
    assert [code for code, _ in volume.notes] == ["padding_ignored"]


def test_exact_duplicates_are_dropped_with_a_note(tmp_path: Path) -> None:
    datasets = chest_series()
    save(datasets, tmp_path / "a")
    save(datasets[3:6], tmp_path / "b")
    doubled = chest_series()[9]
    doubled.SOPInstanceUID = doubled.file_meta.MediaStorageSOPInstanceUID = derive_uid("copy")
    save([doubled], tmp_path / "c")
    volume = load(only(tmp_path))
    assert_same(volume, chest_volume())
    assert volume.notes == (
        ("duplicates_dropped", "Images that repeat another exactly and were dropped: 4."),
    )
    assert len(volume.sources) == 24


def test_duplicates_that_differ_are_refused(tmp_path: Path) -> None:
    datasets = chest_series()
    save(datasets, tmp_path / "a")
    other = chest_series()[3]
    stored = np.frombuffer(other.PixelData, np.uint16).reshape(32, 40).copy()
    stored[16, 20] += 1
    set_stored(other, stored)
    save([other], tmp_path / "b")
    assert refusal(tmp_path) == ("duplicates_differ", "Slice positions taken by images that differ: 1.")


def test_objects_of_another_kind_in_the_series_are_left_out(tmp_path: Path) -> None:
    datasets = chest_series(chest_volume(slices=25))
    datasets[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(datasets, tmp_path)
    volume = load(only(tmp_path))
    assert len(volume.hu_DHW) == 24
    sentence = "Objects in the series that are not axial CT images and were left out: 1."
    assert volume.notes == (("others_dropped", sentence),)


def test_pixels_shorter_than_the_image_are_refused(tmp_path: Path) -> None:
    datasets = chest_series()
    datasets[2].PixelData = datasets[2].PixelData[:-64]
    save(datasets, tmp_path)
    assert refusal(tmp_path) == ("undecodable", "Pixel data that cannot be decoded, images: 1.")


def test_a_file_that_vanished_after_the_scan_is_refused(tmp_path: Path) -> None:
    paths = save(chest_series(), tmp_path)
    item = only(tmp_path)
    paths[7].unlink()
    with pytest.raises(ItemRefused, match="could not read the file") as caught:
        load(item)
    assert caught.value.code == "unreadable_file"


def test_large_images_and_tiny_pixels(tmp_path: Path) -> None:
    affine = grid_affine()
    affine[:3, 1:3] *= 0.2
    wanted = chest_volume(affine, rows=1024, columns=1000, slices=20)
    write_ct_series(wanted, tmp_path)
    assert_same(load(only(tmp_path)), wanted, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mhd", ".nrrd"])
def test_a_volume_file_agrees_with_dicom_of_the_same_data(tmp_path: Path, suffix: str) -> None:
    affine = grid_affine((0.96, 0.28, 0), (-0.28, 0.96, 0), (0, 0, 2.5))
    write_ct_series(chest_volume(affine), tmp_path / "dicom")
    dicom = load(only(tmp_path / "dicom"))
    (tmp_path / "volume").mkdir()
    write_volume_file(dicom, tmp_path / f"volume/chest{suffix}")
    volume = load(only(tmp_path / "volume"))
    assert_same(volume, dicom, atol=1e-3)
    assert volume.uid == "chest"


@pytest.mark.realdata
def test_lidc_0063_agrees_with_itk(real_data: Path) -> None:
    """133 slices of 512 x 512, 0.78125 mm and 2.5 mm; ITK reads the same files independently."""
    item = only(real_data / "ct/lidc-0063/dicom")
    volume = load(item)
    assert volume.hu_DHW.shape == (133, 512, 512)
    assert volume.hu_DHW.dtype == np.int16
    np.testing.assert_allclose(volume.spacing_mm, (2.5, 0.78125, 0.78125), atol=1e-6)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(real_data / "ct/lidc-0063/dicom"))
    image = sitk.ReadImage(names)
    np.testing.assert_array_equal(volume.hu_DHW, np.maximum(sitk.GetArrayViewFromImage(image), -1024))
    for d, h, w in ((0, 0, 0), (132, 511, 0), (60, 100, 300)):
        expected = image.TransformIndexToPhysicalPoint((w, h, d))
        np.testing.assert_allclose(volume.to_world(np.array([[d, h, w]]))[0], expected, atol=1e-3)


@pytest.mark.realdata
def test_lungfcp(real_data: Path) -> None:
    """98 slices of 1 mm, Siemens, 12 bits unsigned."""
    volume = load(only(real_data / "ct/lungfcp-01-0001"))
    assert volume.hu_DHW.shape == (98, 512, 512)
    np.testing.assert_allclose(volume.spacing_mm, (1.0, 0.759765625, 0.759765625), atol=1e-6)
    assert (volume.hu_DHW.min(), volume.hu_DHW.max()) == (-1024, 3071)
    assert volume.notes == ()


@pytest.mark.realdata
def test_real_volume_file(real_data: Path) -> None:
    items = [item for item in scan(real_data / "ct/chest") if item.id == "qin_lsc_0009"]
    assert len(items) == 1
    volume = load(items[0])
    assert volume.hu_DHW.shape == (103, 340, 474)
    np.testing.assert_allclose(volume.spacing_mm, (3.0, 0.703125, 0.703125), atol=1e-6)
