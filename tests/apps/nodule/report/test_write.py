from __future__ import annotations

import dataclasses
import io
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.report.write import remove_results, write_results
from core.errors import InputError

FULL_SET = [
    "candidates.csv", "nodules.csv", "report.html", "report.json", "sc/01.dcm", "sc/02.dcm", "seg.dcm", "sr.dcm",
]  # fmt: skip

# What a source may lack; a de-identified export lacks all of it.
BARE = (
    "PatientName", "PatientID", "StudyTime", "SeriesDate", "SeriesTime", "Manufacturer", "SliceThickness",
    "SeriesNumber", "InstanceNumber",
)  # fmt: skip


def written(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(folder: Path, volume: Volume, findings: list[Finding], model: ModelInfo) -> dict[str, bytes]:
    write_results(folder, volume, [finding.candidate for finding in findings], findings, model)
    return written(folder)


def test_a_series_gets_the_whole_set_and_the_same_bytes_twice(
    tmp_path: Path, build: Callable[..., Volume], findings: list[Finding], model: ModelInfo
) -> None:
    first = write(tmp_path / "one", build(), findings, model)
    time.sleep(1.1)  # a clock in a result would show
    second = write(tmp_path / "two", build(), findings[::-1], model)
    assert sorted(first) == FULL_SET
    assert [name for name in FULL_SET if first[name] != second[name] and name != "candidates.csv"] == []


def test_every_dicom_result_carries_its_source(
    tmp_path: Path, build: Callable[..., Volume], findings: list[Finding], model: ModelInfo
) -> None:
    volume = build(
        PatientName="王^小东=Lefèvre^Zoë", PatientID="P-77", PatientBirthDate="19700102", PatientSex="F"
    )
    write(tmp_path, volume, findings, model)
    paths = sorted(tmp_path.rglob("*.dcm"))
    assert len(paths) == 4
    for path in paths:
        item = dcmread(path)
        assert str(item.PatientName) == "王^小东=Lefèvre^Zoë"
        assert (item.PatientID, item.PatientBirthDate, item.PatientSex) == ("P-77", "19700102", "F")
        assert item.StudyInstanceUID == volume.sources[0].StudyInstanceUID
        assert item.SeriesInstanceUID != volume.uid
        assert (item.Manufacturer, item.SoftwareVersions) == ("Triptych", "1.0.0")
        assert item.ContributingEquipmentSequence[-1].SoftwareVersions == "1.0.0"
        dates = [element.value for element in item.iterall() if element.VR == "DA" and element.value]
        assert len(dates) >= 4
        assert set(dates) <= {"20190304", "19700102"}
        moments = [
            element.value for element in item.iterall() if element.VR in ("DT", "TM") and element.value
        ]
        assert set(moments) <= {"101112", "102030.5"}


# Names as bytes, from DICOM PS3.5 annexes H, I, J and K; Latin-1 and GB18030 by Python's codecs.
NAMES = {
    "ISO_IR 100": "Müller^Jürgen".encode("latin-1"),
    "ISO_IR 192": "Lefèvre^Zoë=王^小东".encode(),
    "GB18030": "Wang^XiaoDong=王^小东".encode("gb18030"),
    "\\ISO 2022 IR 58": b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
    "\\ISO 2022 IR 87": b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    "\\ISO 2022 IR 149": b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
}


def named(charset: str, name: bytes) -> Dataset:
    """A header as it is read from a file that says this."""
    parts = ((0x0005, b"CS", charset.encode()), (0x0010, b"PN", name))
    stream = io.BytesIO()
    for (element, vr, value), group in zip(parts, (0x0008, 0x0010), strict=True):
        padded = value + b" " * (len(value) % 2)
        stream.write(struct.pack("<HH2sH", group, element, vr, len(padded)) + padded)
    stream.seek(0)
    return dcmread(stream, force=True)


@pytest.mark.parametrize(("charset", "name"), NAMES.items())
def test_names_survive_in_each_character_set(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo, charset: str, name: bytes
) -> None:
    read = named(charset, name)
    for item in volume.sources:
        item["SpecificCharacterSet"], item["PatientName"] = read["SpecificCharacterSet"], read["PatientName"]
    write(tmp_path, volume, findings[:1], model)
    paths = sorted(tmp_path.rglob("*.dcm"))
    assert len(paths) == 3
    for path in paths:
        assert name in path.read_bytes()
        item = dcmread(path)
        assert str(item.PatientName) == str(read.PatientName)
        assert item.SpecificCharacterSet == read.SpecificCharacterSet


def test_a_bare_source_header_is_enough(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    for item in volume.sources:
        for keyword in (*BARE, "StudyDate"):
            delattr(item, keyword)
        del item.SpecificCharacterSet
    assert sorted(write(tmp_path, volume, findings, model)) == FULL_SET
    assert dcmread(tmp_path / "sr.dcm").ContentDate == "19000101"


def test_a_careless_source_still_gets_its_results_without_a_word(
    tmp_path: Path,
    volume: Volume,
    findings: list[Finding],
    model: ModelInfo,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with disable_value_validation():
        for item in volume.sources:
            for keyword in ("StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID"):
                delattr(item, keyword)
            item.PatientBirthDate, item.PatientSex, item.PatientName = (
                "CANARY",
                "canary sex",
                "a^b^c^d^e^CANARY",
            )
            item.AccessionNumber = "CANARY" * 5
            for keyword in ("ImagePositionPatient", "PixelSpacing"):
                long = [f"{float(value):.15f}" for value in item[keyword].value]
                delattr(item, keyword)
                setattr(item, keyword, long)
    assert sorted(write(tmp_path, volume, findings, model)) == FULL_SET
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""
    studies = {str(dcmread(path).StudyInstanceUID) for path in tmp_path.rglob("*.dcm")}
    assert len(studies) == 1
    assert studies.pop().startswith("2.25.")
    assert "CANARY" not in (tmp_path / "report.json").read_text() + (tmp_path / "report.html").read_text()


def test_results_of_a_series_are_removed_and_nothing_else(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    assert sorted(write(tmp_path / "out", volume, findings, model)) == FULL_SET
    remove_results(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    remove_results(tmp_path / "out")  # nothing is there: nothing happens
    write(tmp_path / "out", volume, findings, model)
    (tmp_path / "out" / "letter.txt").write_text("by hand")
    remove_results(tmp_path / "out")
    assert list(written(tmp_path / "out")) == ["letter.txt"]


def test_nothing_found_leaves_no_segmentation_nor_stale_files(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    write(tmp_path, volume, findings, model)
    names = sorted(write(tmp_path, volume, [], model))
    assert names == ["candidates.csv", "nodules.csv", "report.html", "report.json", "sr.dcm"]


def test_a_volume_that_is_not_a_dicom_gets_nifti(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    plain = dataclasses.replace(volume, sources=(), uid="scan7")
    names = sorted(write(tmp_path, plain, findings, model))
    assert names == ["candidates.csv", "nodules.csv", "report.html", "report.json", "seg.nii.gz"]


def test_a_folder_below_a_file_is_one_clear_error(tmp_path: Path, volume: Volume, model: ModelInfo) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="lies below a file, not a folder") as caught:
        write_results(tmp_path / "file" / "series", volume, [], [], model)
    assert caught.value.code == "output_unwritable"


def dciodvfy(path: Path) -> tuple[str, list[str]]:
    """(IOD as the validator recognised it, its error lines)."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    iods = [line for line in lines if line in ("Comprehensive3DSR", "Segmentation", "SCImage")]
    return "".join(iods), [line for line in lines if line.startswith(("Error", "Abort"))]


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize(
    "case", ["plain", "tilted", "enhanced", "several", "overlapping", "bare", "nothing found"]
)
def test_validator_finds_no_error(
    tmp_path: Path,
    build: Callable[..., Volume],
    enhanced: Volume,
    several_objects: Volume,
    find_two: Callable[[Volume], list[Finding]],
    make_ball: Callable[..., Finding],
    model: ModelInfo,
    case: str,
) -> None:
    odd = {"tilted": build(shear_y=0.6), "enhanced": enhanced, "several": several_objects}
    volume = odd.get(case) or build(PatientBirthDate="19700102")
    findings = [] if case == "nothing found" else find_two(volume)
    if case == "overlapping":
        findings.append(make_ball(volume, (13, 33, 16), 8.0, 0.8))
    if case == "bare":
        for item in volume.sources:
            for keyword in BARE:
                delattr(item, keyword)
    write(tmp_path, volume, findings, model)
    names = ["sr.dcm", *(["seg.dcm", "sc/01.dcm"] if findings else [])]
    expected = ["Comprehensive3DSR", "Segmentation", "SCImage"]
    for name, iod in zip(names, expected, strict=False):
        assert dciodvfy(tmp_path / name) == (iod, []), name
