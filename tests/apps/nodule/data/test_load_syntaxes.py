"""Every transfer syntax that can be encoded here, and multi-frame objects, give the same Volume."""

from __future__ import annotations

import random
from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
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

from apps.nodule.data.dicom_write import write_ct_series
from apps.nodule.data.load import load
from tests.apps.nodule.data.dicom_samples import (
    assert_same,
    chest_series,
    chest_volume,
    enhanced_series,
    only,
    refusal,
    save,
    set_stored,
)


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
