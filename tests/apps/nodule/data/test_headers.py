"""One DICOM file's header: what is read, and what the bytes after it are worth."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from apps.nodule.data.dicom_write import write_ct_series
from apps.nodule.data.headers import HEADER_KEYWORDS, Pixels, drop_broken, is_decodable, read_header
from apps.nodule.data.quiet import quiet_libraries
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, save


def refusal(path: Path) -> str:
    with quiet_libraries(), pytest.raises(ItemRefused) as caught:
        read_header(path)
    return caught.value.code


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_header_of_each_syntax(tmp_path: Path, syntax: UID) -> None:
    path = write_ct_series(chest_volume(), tmp_path, transfer_syntax=syntax)[3]
    header = read_header(path)
    assert header.pixels is Pixels.PRESENT
    assert header.syntax == syntax
    assert header.text("Modality") == "CT"
    assert "PixelData" not in header.dataset
    assert header.dataset.Rows == 32
    assert set(header.dataset.dir()) <= {*HEADER_KEYWORDS, "SpecificCharacterSet"}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("lost", [1, 9, 500])
def test_pixels_that_end_early(tmp_path: Path, syntax: UID, lost: int) -> None:
    path = write_ct_series(chest_volume(), tmp_path, transfer_syntax=syntax)[0]
    path.write_bytes(path.read_bytes()[:-lost])
    assert read_header(path).pixels is Pixels.CUT


def test_every_cut_is_seen(tmp_path: Path) -> None:
    whole = save(chest_series()[:1], tmp_path)[0]
    data = whole.read_bytes()
    pixels_at = data.index(bytes.fromhex("e07f1000"))
    cut = tmp_path / "cut"
    seen = set()
    for end in range(140, len(data), 37):
        cut.write_bytes(data[:end])
        with quiet_libraries():
            try:
                header = read_header(cut)
            except ItemRefused as error:
                seen.add(error.code)
            else:
                assert header.pixels is not Pixels.PRESENT, end
                assert header.pixels is Pixels.CUT or end <= pixels_at + 12, end
    assert {"truncated"} <= seen <= {"truncated", "no_uid", "not_dicom"}


def test_no_pixels(tmp_path: Path) -> None:
    absent, empty = chest_series()[:2]
    del absent.PixelData
    empty.PixelData = b""
    for path in save([absent, empty], tmp_path):
        assert read_header(path).pixels is Pixels.ABSENT


@pytest.mark.parametrize("implicit", [True, False])
def test_a_data_set_without_preamble_and_meta(tmp_path: Path, implicit: bool) -> None:
    dataset = chest_series()[0]
    del dataset.file_meta
    path = tmp_path / "bare"
    dataset.save_as(path, implicit_vr=implicit, little_endian=True)
    header = read_header(path)
    assert header.syntax == (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    assert header.pixels is Pixels.PRESENT


@pytest.mark.parametrize("uid", ["", "../../etc", "1.2.3/..", "abc", "1" * 70, "1.2.", "."])
def test_a_series_uid_that_is_none_never_names_a_folder(tmp_path: Path, uid: str) -> None:
    with quiet_libraries():
        dataset = chest_series()[0]
        dataset.SeriesInstanceUID = uid
        path = save([dataset], tmp_path)[0]
    assert refusal(path) == "no_uid"


def test_what_only_resembles_dicom(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\0" * 128 + b"DICM" + b"rubbish that is not an element" * 20)
    assert refusal(path) in ("truncated", "not_dicom")
    path.write_bytes(b"\0" * 128 + b"DICM")
    assert refusal(path) in ("truncated", "not_dicom")
    assert refusal(tmp_path / "nowhere") == "unreadable_file"


def test_attributes_that_mean_nothing_are_absent(tmp_path: Path) -> None:
    dataset = chest_series()[0]
    path = save([dataset], tmp_path)[0]
    data = path.read_bytes()
    bits = data.index(
        bytes.fromhex("28000101") + b"US"
    )  # BitsStored, made three bytes long: no number has that
    path.write_bytes(data[: bits + 6] + b"\3\0\x10\0\0" + data[bits + 10 :])
    with quiet_libraries():
        header = read_header(path)
    assert "BitsStored" not in header.dataset
    assert (header.dataset.BitsAllocated, header.pixels) == (16, Pixels.PRESENT)


def test_drop_broken_reaches_into_sequences() -> None:
    item = Dataset()
    item.RescaleSlope = "1"
    outer = Dataset()
    outer.PixelValueTransformationSequence = [item]
    drop_broken(outer)
    assert outer.PixelValueTransformationSequence[0].RescaleSlope == 1


def test_which_syntaxes_can_be_decoded() -> None:
    known = [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1]
    assert all(is_decodable(syntax) for syntax in known)
    assert not is_decodable(HTJ2KLossless)
    assert not is_decodable(UID("1.2.840.10008.1.2.4.100"))
    assert not is_decodable(UID("1.2.3.4.5"))
