"""Which series are processed: every rule and every fault that headers show, with its sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import HTJ2KLossless, generate_uid

from apps.nodule.data.headers import Header, Pixels, read_header
from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.select import judge, judge_extent, judge_size
from apps.nodule.reasons import Reason
from tests.apps.nodule.data.dicom_samples import (
    chest_series,
    chest_volume,
    enhanced_series,
    grid_affine,
    other_class,
    report,
    save,
)

CT, SC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"


def headers(datasets: list[Dataset]) -> list[Header]:
    return [
        Header(Path("x"), dataset, Pixels.PRESENT, dataset.file_meta.TransferSyntaxUID)
        for dataset in datasets
    ]


def verdict(datasets: list[Dataset]) -> tuple[str, str, str]:
    (part,) = judge(headers(datasets))
    return part.reason.status, part.reason.code, part.reason.sentence


def edited(edit: Callable[[int, Dataset], None], **header: object) -> list[Dataset]:
    datasets = chest_series(**header)
    for number, dataset in enumerate(datasets):
        edit(number, dataset)
    return datasets


def put(keyword: str, value: object, first: int = 0) -> Callable[[int, Dataset], None]:
    return lambda number, dataset: setattr(dataset, keyword, value) if number >= first else None


def test_an_axial_chest_is_accepted() -> None:
    assert verdict(chest_series()) == ("accepted", "ct_series", "An axial CT series of 24 slices.")
    assert verdict([enhanced_series(chest_volume())])[0] == "accepted"
    assert verdict(edited(put("ImageType", ["DERIVED", "SECONDARY", "MPR"])))[0] == "accepted"
    assert verdict(edited(put("RescaleType", "US")))[0] == "accepted"


@pytest.mark.parametrize(
    ("datasets", "code", "sentence"),
    [
        (
            edited(put("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])),
            "localiser",
            "The series is a localiser.",
        ),
        (
            edited(put("ImageType", ["DERIVED", "SECONDARY", "AXIAL", "MIP"])),
            "projection",
            "The series is a projection or a rendering (MIP, MinIP or the like), not slices.",
        ),
        (
            edited(put("RescaleType", "MGML")),
            "not_hounsfield",
            "The pixel values are declared to be another quantity than Hounsfield units.",
        ),
        (other_class("1.2.840.10008.5.1.4.1.1.4", "MR", 24), "not_ct", "The modality is not CT."),
        (other_class("1.2.840.10008.5.1.4.1.1.128", "PT", 24), "not_ct", "The modality is not CT."),
        (
            other_class(SC, "CT", 24),
            "secondary_capture",
            "The series is a secondary capture, a picture without Hounsfield units.",
        ),
        (
            other_class(SC + ".4", "OT"),
            "secondary_capture",
            "The series is a secondary capture, a picture without Hounsfield units.",
        ),
        (
            [report()],
            "no_image_object",
            "The objects hold no image of their own: a report, a segmentation, a plan.",
        ),
        (
            other_class("1.2.840.10008.5.1.4.1.1.66.4", "SEG"),
            "no_image_object",
            "The objects hold no image of their own: a report, a segmentation, a plan.",
        ),
        (chest_series()[:16], "too_few_slices", "The series has 16 slices; a chest needs at least 20."),
        (
            chest_series(chest_volume(grid_affine(step=(0, 0, 0.625)), slices=48)),
            "too_short",
            "The series covers 30.0 mm along the body; a chest needs at least 40 mm.",
        ),
        (
            chest_series(chest_volume(grid_affine(step=(0, 0, 10)))),
            "too_coarse",
            "The slices lie 10.0 mm apart; at most 7.5 mm, or nodules fall between.",
        ),
        (
            chest_series(chest_volume(grid_affine((1, 0, 0), (0, 0, -1), (0, 2.5, 0)))),
            "not_axial",
            "The slices lie 90 degrees off axial; at most 45 are processed.",
        ),
        (
            chest_series(chest_volume(grid_affine((0, 1, 0), (0, 0, -1), (-2.5, 0, 0)))),
            "not_axial",
            "The slices lie 90 degrees off axial; at most 45 are processed.",
        ),
    ],
)
def test_rules_that_leave_a_series_aside(datasets: list[Dataset], code: str, sentence: str) -> None:
    assert verdict(datasets) == ("skipped", code, sentence)


@pytest.mark.parametrize(
    ("datasets", "code", "sentence"),
    [
        (
            edited(put("PatientID", "OTHER", first=12)),
            "mixed_patients",
            "Images of 2 patients carry the same series UID.",
        ),
        (
            edited(put("StudyInstanceUID", generate_uid(), first=23)),
            "mixed_studies",
            "Images of 2 studies carry the same series UID.",
        ),
        (
            edited(put("FrameOfReferenceUID", generate_uid(), first=5)),
            "mixed_frames_of_reference",
            "The images of the series lie in 2 frames of reference.",
        ),
        (
            edited(put("ImagePositionPatient", None, first=22)),
            "no_geometry",
            "Position, orientation or pixel spacing is missing or impossible, images: 2.",
        ),
        (
            edited(put("RescaleSlope", None, first=21)),
            "bad_rescale",
            "The rescale to Hounsfield units is missing or impossible, images: 3.",
        ),
        (
            edited(put("SamplesPerPixel", 3)),
            "unsupported_pixels",
            "The pixels are not single grey values of 8 to 32 bits.",
        ),
        (
            edited(put("PhotometricInterpretation", "PALETTE COLOR")),
            "unsupported_pixels",
            "The pixels are not single grey values of 8 to 32 bits.",
        ),
        (
            edited(put("Rows", 16, first=20)),
            "mixed_sizes",
            "The images of the series have 2 different sizes.",
        ),
        (
            [d for i, d in enumerate(chest_series(chest_volume(slices=30))) if i != 10],
            "missing_slices",
            "Slices missing: 1 (along the normal: 1 between 52.5 and 57.5 mm).",
        ),
    ],
)
def test_faults_that_headers_show(datasets: list[Dataset], code: str, sentence: str) -> None:
    assert verdict(datasets) == ("quarantined", code, sentence)


def test_faults_of_files() -> None:
    good = headers(chest_series())
    cut = Header(good[0].path, good[0].dataset, Pixels.CUT, good[0].syntax)
    absent = Header(good[0].path, good[0].dataset, Pixels.ABSENT, good[0].syntax)
    strange = Header(good[0].path, good[0].dataset, Pixels.PRESENT, HTJ2KLossless)
    assert judge([cut, *good[1:]])[0].reason == Reason(
        "quarantined", "truncated", "Files that end before their data do: 1 of 24."
    )
    assert judge([absent])[0].reason == Reason(
        "quarantined", "no_pixel_data", "Images without pixel data: 1 of 1."
    )
    assert judge([strange, *good[1:]])[0].reason == Reason(
        "quarantined", "unknown_syntax", "The pixel data is in a transfer syntax that cannot be decoded."
    )


def test_a_localiser_among_the_slices_is_left_out(tmp_path: Path) -> None:
    datasets = chest_series(chest_volume(slices=25))
    datasets[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    datasets[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    with quiet_libraries():
        headers = [read_header(path) for path in save(datasets, tmp_path)]
    (part,) = judge(headers)
    assert part.reason.status == "accepted"
    assert (len(part.slices), part.left_out) == (24, (0,))
    assert [code for code, _ in part.notes] == ["others_dropped"]


def test_limits() -> None:
    assert judge_extent(20, 2.0) is None
    assert judge_extent(100, 7.5) is None
    assert judge_size(1000, 2048, 1024) is None
    too_large = judge_size(5000, 1024, 1024)
    assert too_large == Reason(
        "quarantined", "too_large", "The series has 5.2 billion voxels; at most 4 are processed."
    )
