"""From files to a Volume: order, pixels, syntaxes, repairs, refusals, and silence about the patient."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import DicomDictionary
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from apps.nodule.data.dicom_write import derive_uid, write_ct_series
from apps.nodule.data.load import load
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import write_volume_file
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import (
    CANARY,
    UID_CANARY,
    chest_series,
    chest_volume,
    enhanced_series,
    grid_affine,
    save,
    set_stored,
)


def only(folder: Path) -> SeriesItem:
    items = scan(folder)
    assert len(items) == 1, [item.code for item in items]
    assert items[0].status == "accepted", items[0].sentence
    return items[0]


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(ItemRefused) as caught:
        load(only(folder))
    return caught.value.code, caught.value.sentence


def assert_same(volume: Volume, wanted: Volume, atol: float = 1e-9) -> None:
    np.testing.assert_array_equal(volume.hu_DHW, wanted.hu_DHW)
    np.testing.assert_allclose(volume.affine, wanted.affine, atol=atol)


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


def gdcm_encode(path: Path, syntax: gdcm.TransferSyntax) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(syntax)
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_syntaxes_that_the_writer_makes(tmp_path: Path, syntax: UID) -> None:
    write_ct_series(chest_volume(), tmp_path, transfer_syntax=syntax)
    assert_same(load(only(tmp_path)), chest_volume())


@pytest.mark.parametrize(
    ("number", "syntax"),
    [
        (gdcm.TransferSyntax.JPEGLosslessProcess14, JPEGLossless),
        (gdcm.TransferSyntax.JPEGLosslessProcess14_1, JPEGLosslessSV1),
        (gdcm.TransferSyntax.JPEGLSLossless, JPEGLSLossless),
        (gdcm.TransferSyntax.JPEG2000Lossless, JPEG2000Lossless),
        (gdcm.TransferSyntax.RLELossless, RLELossless),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("signed", [False, True])
def test_syntaxes_of_another_encoder(tmp_path: Path, number: int, syntax: UID, signed: bool) -> None:
    datasets = chest_series()
    if signed:
        for dataset, hu_HW in zip(datasets, chest_volume().hu_DHW, strict=True):
            set_stored(dataset, hu_HW)
            dataset.RescaleIntercept = "0"
    for path in save(datasets, tmp_path):
        gdcm_encode(path, gdcm.TransferSyntax(number))
        assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    assert_same(load(only(tmp_path)), chest_volume())


def test_big_endian(tmp_path: Path) -> None:
    for number, dataset in enumerate(chest_series()):
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dataset.save_as(
            tmp_path / f"{number}.dcm", little_endian=False, implicit_vr=False, enforce_file_format=True
        )
    assert_same(load(only(tmp_path)), chest_volume())


def test_data_sets_without_meta(tmp_path: Path) -> None:
    for number, dataset in enumerate(chest_series()):
        del dataset.file_meta
        dataset.save_as(tmp_path / str(number), implicit_vr=True, little_endian=True)
    assert_same(load(only(tmp_path)), chest_volume())


def test_enhanced_multiframe(tmp_path: Path) -> None:
    wanted = chest_volume()
    order = list(range(24))
    random.Random(1).shuffle(order)
    save([enhanced_series(wanted, order)], tmp_path)
    volume = load(only(tmp_path))
    # The object stores (HU + 1024 + frame) // 2 with slope 2: even values come back exactly.
    stored = (wanted.hu_DHW.astype(int) + 1024 + np.arange(24)[:, None, None]) // 2
    np.testing.assert_array_equal(volume.hu_DHW, stored * 2 - 1024 - np.arange(24)[:, None, None])
    np.testing.assert_allclose(volume.affine, wanted.affine)
    assert len(volume.sources) == 1
    assert volume.sources[0].NumberOfFrames == 24


def test_a_series_of_two_enhanced_objects(tmp_path: Path) -> None:
    wanted = chest_volume()
    halves = [enhanced_series(wanted, range(12, 24)), enhanced_series(wanted, range(12))]
    for number, half in enumerate(halves):
        half.SOPInstanceUID = half.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    save(halves, tmp_path)
    volume = load(only(tmp_path))
    np.testing.assert_allclose(volume.hu_DHW, wanted.hu_DHW, atol=1)
    assert [source.SOPInstanceUID for source in volume.sources] == ["1.2.3.1", "1.2.3.0"]


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
    sentence = "Objects in the series that are no axial CT images and were left out: 1."
    assert volume.notes == (("others_dropped", sentence),)


@pytest.mark.parametrize("name", ["JPEGLSLossless", "JPEGLosslessProcess14_1"])
def test_rubbish_in_compressed_pixels_is_refused_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    paths = save(chest_series(), tmp_path)
    for path in paths:
        gdcm_encode(path, gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    data = bytearray(paths[4].read_bytes())
    at = data.index(b"\xff\xd8\xff")
    data[at : at + 40] = bytes(40)
    paths[4].write_bytes(bytes(data))
    capfd.readouterr()
    assert refusal(tmp_path) == ("undecodable", "Pixel data that cannot be decoded, images: 1.")
    assert capfd.readouterr() == ("", "")


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


TEXT_VRS = {"AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
STRUCTURE = {"SpecificCharacterSet", "RescaleType"}


def with_canaries(datasets: list[Dataset]) -> list[Dataset]:
    """Put a canary into every text attribute of the dictionary's patient-bearing groups, valid there or not."""
    entries = [
        (tag, vr)
        for tag, (vr, _, _, retired, keyword) in DicomDictionary.items()
        if tag >> 16 in (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040)
        and vr in TEXT_VRS
        and not retired
        and keyword not in STRUCTURE
    ]
    assert len(entries) > 300
    for dataset in datasets:
        for tag, vr in entries:
            dataset.add_new(tag, vr, CANARY)
        dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = f"{UID_CANARY}.1"
        dataset.SeriesInstanceUID = f"{UID_CANARY}.2"
        dataset.add_new(0x00091010, "LO", CANARY)
    return datasets


def spoil_nothing(datasets: list[Dataset]) -> None:
    pass


def spoil_gap(datasets: list[Dataset]) -> None:
    del datasets[5]


def spoil_patients(datasets: list[Dataset]) -> None:
    datasets[0].PatientID = CANARY + "2"


def spoil_pixels(datasets: list[Dataset]) -> None:
    datasets[0].PixelData = datasets[0].PixelData[:-2]


def spoil_numbers(datasets: list[Dataset]) -> None:
    datasets[0].add_new(0x00281052, "LO", CANARY)


def spoil_uid(datasets: list[Dataset]) -> None:
    for dataset in datasets:
        dataset.SeriesInstanceUID = CANARY


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (spoil_nothing, {"loaded"}),
        (spoil_gap, {"missing_slices"}),
        (spoil_patients, {"mixed_patients"}),
        (spoil_pixels, {"undecodable"}),
        (spoil_numbers, {"bad_rescale"}),
        (spoil_uid, {"no_uid"}),
    ],
)
def test_nothing_of_the_patient_is_told(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[list[Dataset]], None],
    codes: set[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns while the canaries are written
        datasets = with_canaries(chest_series())
        spoil(datasets)
        save(datasets, tmp_path / CANARY, CANARY)
    caplog.clear()
    capfd.readouterr()
    told: list[str] = []
    seen: set[str] = set()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for item in scan(tmp_path):
            told += [item.code, item.sentence]
            seen.add(item.code)
            if item.status == "accepted":
                seen.remove(item.code)
                try:
                    volume = load(item)
                except ItemRefused as error:
                    told += [error.code, error.sentence, str(error), repr(error), repr(error.__cause__)]
                    seen.add(error.code)
                else:
                    told += [text for note in volume.notes for text in note]
                    seen.add("loaded")
                    assert volume.sources[0].PatientID == CANARY
    assert seen == codes
    told += [str(warning.message) for warning in heard] + [record.getMessage() for record in caplog.records]
    told += [*capfd.readouterr()]
    assert len(told) > 3
    assert not [text for text in told if CANARY in text or UID_CANARY in text]
    assert heard == []


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless], ids=lambda syntax: syntax.name)
def test_no_broken_byte_breaks_the_reader(tmp_path: Path, syntax: UID) -> None:
    """Random damage to headers and pixels: a verdict or a volume, never another error."""
    paths = write_ct_series(chest_volume(), tmp_path, transfer_syntax=syntax)
    whole = paths[0].read_bytes()
    rng = random.Random(11)
    ends = set()
    for _ in range(20):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 3, 30])):
            data[rng.randrange(128, len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        paths[0].write_bytes(bytes(data))
        for item in scan(tmp_path):
            ends.add(item.code)
            if item.status == "accepted":
                try:
                    load(item)
                except ItemRefused as error:
                    ends.add(error.code)
    assert {"ct_series", "truncated"} <= ends


def test_files_of_other_makers(tmp_path: Path) -> None:
    """The test files of pydicom's wheel: each gets a row, none stops the walk."""
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    names = [path for path in sorted(folder.iterdir()) if path.suffix == ".dcm"]
    assert len(names) > 50
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        items = scan(folder)
    assert heard == []
    assert sum(len(item.files) for item in items if item.kind != "volume") >= len(names)
    codes = {file.name: item.code for item in items for file in item.files}
    assert {
        name: codes[name] for name in ("CT_small.dcm", "MR_small.dcm", "MR_truncated.dcm", "rtplan.dcm")
    } == {
        "CT_small.dcm": "too_few_slices",
        "MR_small.dcm": "not_ct",
        "MR_truncated.dcm": "not_ct",
        "rtplan.dcm": "no_image_object",
    }
    assert {codes[name] for name in ("SC_rgb_rle.dcm", "SC_rgb_jpeg.dcm")} == {"secondary_capture"}
    assert {item.status for item in items} == {"skipped", "quarantined"}


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
    padded = volume.hu_DHW == -1024
    np.testing.assert_array_equal(volume.hu_DHW[~padded], sitk.GetArrayViewFromImage(image)[~padded])
    for d, h, w in ((0, 0, 0), (132, 511, 0), (60, 100, 300)):
        expected = image.TransformIndexToPhysicalPoint((w, h, d))
        np.testing.assert_allclose(volume.to_world(np.array([[d, h, w]]))[0], expected, atol=1e-3)
    assert volume.hu_DHW.min() >= -2048


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
