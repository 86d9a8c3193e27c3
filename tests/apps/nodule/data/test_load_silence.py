"""Whatever the bytes: a verdict or a Volume, and not a word of the patient's."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
)

from apps.nodule.data.dicom_write import write_ct_series
from apps.nodule.data.headers import HEADER_KEYWORDS
from apps.nodule.data.load import load
from apps.nodule.data.series import scan
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import (
    CANARY,
    UID_CANARY,
    chest_series,
    chest_volume,
    save,
)

TEXT_VRS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
# Without these it would be no CT series; SpecificCharacterSet has a case of its own.
STRUCTURE = {"SpecificCharacterSet", "Modality", "ImageType"}


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
    for number, dataset in enumerate(datasets):
        for tag, vr in entries if number % 6 == 0 else []:  # a few files in full: they take a second to write
            dataset.add_new(tag, vr, CANARY)
        dataset.PatientID = dataset.PatientName = CANARY
        dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = f"{UID_CANARY}.1"
        dataset.SeriesInstanceUID = f"{UID_CANARY}.2"
        dataset.add_new(0x00091010, "LO", CANARY)
    return datasets


def spoil_nothing(datasets: list[Dataset]) -> None:
    pass


def spoil_charset(datasets: list[Dataset]) -> None:
    for dataset in datasets:
        dataset.add_new(0x00080005, "CS", CANARY)


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
        (spoil_charset, {"loaded"}),
        (spoil_gap, {"missing_slices"}),
        (spoil_patients, {"mixed_patients"}),
        (spoil_pixels, {"undecodable"}),
        (spoil_numbers, {"bad_rescale"}),
        (spoil_uid, {"no_uid"}),
    ],
)
def test_nothing_of_the_patient_is_reported(
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
    output: list[str] = []
    seen: set[str] = set()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for item in scan(tmp_path):
            output += [item.code, item.sentence]
            seen.add(item.code)
            if item.status == "accepted":
                seen.remove(item.code)
                try:
                    volume = load(item)
                except ItemRefused as error:
                    output += [error.code, error.sentence, str(error), repr(error), repr(error.__cause__)]
                    seen.add(error.code)
                else:
                    output += [text for note in volume.notes for text in note]
                    seen.add("loaded")
                    assert volume.sources[0].PatientID == CANARY
    assert seen == codes
    output += [str(warning.message) for warning in heard] + [record.getMessage() for record in caplog.records]
    output += [*capfd.readouterr()]
    assert len(output) > 3
    assert not [text for text in output if CANARY in text or UID_CANARY in text]
    assert heard == []


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless], ids=lambda syntax: syntax.name)
def test_no_broken_byte_breaks_the_reader(tmp_path: Path, syntax: UID) -> None:
    """Random damage to headers and pixels: a verdict or a volume, never another error."""
    paths = write_ct_series(chest_volume(), tmp_path, transfer_syntax=syntax)
    whole = paths[0].read_bytes()
    rng = random.Random(11)
    ends = set()
    for _ in range(12):
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


# Everything that intake reads of a header; most of it may be absent, none of it may stop the program.
MUTATIONS: dict[str, Callable[[Dataset, str], None]] = {
    "absent": lambda dataset, keyword: dataset.pop(keyword, None),  # type: ignore[arg-type,return-value]
    "text": lambda dataset, keyword: _raw(dataset, keyword, "LO", b"NO VALUE"),
    "numbers": lambda dataset, keyword: _raw(dataset, keyword, "DS", b"1e999\\nan\\-7\\0 "),
    "sequence": lambda dataset, keyword: dataset.add(DataElement(keyword, "SQ", [Dataset()])),
}


def _raw(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


@pytest.mark.parametrize("keyword", HEADER_KEYWORDS)
def test_no_attribute_whatever_its_value_breaks_the_reader(tmp_path: Path, keyword: str) -> None:
    """Absent on every slice, and each kind of nonsense on one: a verdict or a volume."""
    absent, mixed = chest_series(), chest_series()
    for dataset in absent:
        MUTATIONS["absent"](dataset, keyword)
    for mutate, dataset in zip(MUTATIONS.values(), mixed[7:], strict=False):
        if not keyword.startswith("SOP"):  # the writer of these files needs them whole
            mutate(dataset, keyword)
    ends = []
    for name, datasets in (("absent", absent), ("mixed", mixed)):
        save(datasets, tmp_path / name)
        for item in scan(tmp_path / name):
            ends.append(item.code)
            if item.status == "accepted":
                try:
                    load(item)
                except ItemRefused as error:
                    ends.append(error.code)
    assert len(ends) >= 2
