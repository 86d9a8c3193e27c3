from __future__ import annotations

import re
import struct

import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.report.source import Moment, moment, stamp, valid_uid


def dated(**values: str) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SeriesDate": "20190304", "SeriesTime": "102030.5"}, Moment("20190304", "102030.5")),
        ({"SeriesDate": "20190304", "SeriesTime": "", "StudyDate": "20190304", "StudyTime": "09"},
         Moment("20190304", "09")),
        ({"SeriesDate": "", "StudyDate": "20190304"}, Moment("20190304", "000000")),
        ({"AcquisitionDate": "20190304", "ContentDate": "20190305", "ContentTime": "11"},
         Moment("20190304", "000000")),
        ({}, Moment("19000101", "000000")),
    ],
)  # fmt: skip
def test_dates_come_from_the_source(values: dict[str, str], expected: Moment) -> None:
    assert moment(dated(**values)) == expected


def test_an_unreadable_date_is_passed_over() -> None:
    source = Dataset.from_json(
        '{"00080021":{"vr":"LO","Value":["soon"]},"00080020":{"vr":"DA","Value":["20190304"]}}'
    )
    assert moment(source) == Moment("20190304", "000000")


def test_stamp_fills_what_the_source_lacks_and_replaces_the_clock(volume: Volume, model: ModelInfo) -> None:
    instance = dated(ContentDate="20300101", ContentTime="010101", SpecificCharacterSet="ISO_IR 100")
    stamp(instance, volume.sources[0], model)
    assert instance.SpecificCharacterSet == "ISO_IR 192"
    assert (instance.ContentDate, instance.ContentTime) == ("20190304", "102030.5")
    assert (instance.InstanceCreationDate, instance.SeriesDate) == ("20190304", "20190304")
    for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        assert keyword in instance
        assert not instance[keyword].value
    scanner, detector = instance.ContributingEquipmentSequence
    assert scanner.Manufacturer == "Maker"
    assert (detector.Manufacturer, detector.ManufacturerModelName) == ("Triptych", "compact")
    assert detector.SoftwareVersions == "1.0.0"


@pytest.mark.parametrize("value", ["", "ANON", "1.2.3/4", "1." * 40 + "1", "7"])
def test_what_is_not_a_uid_is_replaced(volume: Volume, model: ModelInfo, value: str) -> None:
    source = read(_explicit("0020000D", b"UI", value.encode()))
    source.SeriesInstanceUID = volume.uid
    instance = Dataset()
    with quiet_libraries():
        assert valid_uid(source, "StudyInstanceUID") is None
        stamp(instance, source, model)
    assert re.fullmatch(r"2\.25\.\d+", instance.StudyInstanceUID)


def test_an_attribute_written_as_another_type_is_left_empty(volume: Volume, model: ModelInfo) -> None:
    source = read(_explicit("00100020", b"US", b"\1\2"))
    source.SeriesInstanceUID = volume.uid
    instance = Dataset()
    stamp(instance, source, model)
    assert instance["PatientID"].VR == "LO"
    assert not instance.PatientID


def test_malformed_patient_values_pass_without_a_word(
    volume: Volume, model: ModelInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    # As read from a file: pydicom keeps such values raw and would warn, with the value, on first use.
    source = read(_explicit("00100030", b"DA", b"12/03/1970") + _explicit("00100040", b"CS", b"male"))
    instance = Dataset()
    source.StudyInstanceUID = "1.2.3"
    stamp(instance, source, model)
    assert str(instance.PatientBirthDate) == "12/03/1970"
    assert instance.PatientSex == "male"
    assert capfd.readouterr() == ("", "")


def read(elements: bytes) -> Dataset:
    return dcmread(DicomBytesIO(elements), force=True)


def _explicit(tag: str, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", int(tag[:4], 16), int(tag[4:], 16), vr, len(value)) + value
