"""JPEG Extended with 12 bits, against dcmtk as an independent codec."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGExtended12Bit

from apps.nodule.data.jpeg_extended import extended_frames, frame_size, is_extended_12_bit
from apps.nodule.data.load import load
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, only, refusal, save, set_stored

pytestmark = pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")


def encoded(folder: Path) -> list[Path]:
    datasets = chest_series()
    for dataset in datasets:
        set_stored(dataset, np.frombuffer(dataset.PixelData, np.uint16).reshape(32, 40), bits=12)
    paths = save(datasets, folder)
    for path in paths:
        plain = path.rename(path.with_suffix(".plain"))
        subprocess.run(["dcmcjpeg", "+ee", "+q", "100", "--uid-never", str(plain), str(path)], check=True)
        plain.unlink()
    return paths


def test_twelve_bits_are_decoded(tmp_path: Path) -> None:
    paths = encoded(tmp_path / "in")
    dataset = dcmread(paths[5])
    assert dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit
    assert is_extended_12_bit(dataset)
    subprocess.run(["dcmdjpeg", str(paths[5]), str(tmp_path / "decoded")], check=True)
    (got,) = extended_frames(dataset, [0])
    np.testing.assert_array_equal(got, dcmread(tmp_path / "decoded").pixel_array)
    volume = load(only(tmp_path / "in"))
    np.testing.assert_allclose(volume.hu_DHW, chest_volume().hu_DHW, atol=6)
    np.testing.assert_allclose(volume.affine, chest_volume().affine)


def test_all_that_is_broken_is_counted(tmp_path: Path) -> None:
    for path in encoded(tmp_path):
        data = path.read_bytes()
        at = data.index(b"\xff\xd8\xff")
        path.write_bytes(data[:at] + bytes(40) + data[at + 40 :])
    assert refusal(tmp_path) == ("undecodable", "Pixel data that cannot be decoded, images: 24.")


def test_size_is_read_from_the_frame_header(tmp_path: Path) -> None:
    data = encoded(tmp_path)[0].read_bytes()
    assert frame_size(data[data.index(b"\xff\xd8\xff") :]) == (32, 40)
    for stream in (b"", b"\xff\xd8", b"\xff\xd8\xff\x00\x00\x00" * 5, b"rubbish" * 9):
        assert frame_size(stream) is None
