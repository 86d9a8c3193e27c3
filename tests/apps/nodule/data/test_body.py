"""Header and images beside each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from apps.nodule.data.body import body_notes, body_width_mm
from apps.nodule.data.lung_box import locate_lungs
from apps.nodule.data.volume import Volume
from tests.apps.nodule.bodies import TISSUE, Body, affine_around, orientation, small_scan

ADULT = Body((150.0, 100.0), (50.0, 65.0, 60.0), 70.0)
CHILD = Body((70.0, 50.0), (22.0, 32.0, 40.0), 32.0)
SPACING = (3.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def adult() -> Volume:
    return small_scan(ADULT, spacing_mm=SPACING, room_mm=(330.0, 230.0, 140.0))


@pytest.fixture(scope="module")
def child() -> Volume:
    return small_scan(CHILD, spacing_mm=SPACING)


def lungless() -> Volume:
    shape = (40, 48, 48)
    affine = affine_around(orientation("axial", (2.5, 3.0, 3.0)), shape, (0, 0, 0))
    return Volume(np.full(shape, TISSUE, np.int16), affine, "tissue")


def codes(volume: Volume, **header: object) -> list[str]:
    source = Dataset()
    for keyword, value in header.items():
        setattr(source, keyword, value)
    return [code for code, _ in body_notes(locate_lungs(replace(volume, sources=(source,))))]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("HEAD", ["body_part_differs"]), ("BRAIN", ["body_part_differs"]), ("KNEE", ["body_part_differs"]),
        ("PELVIS", ["body_part_differs"]), ("CHEST", []), ("HEART", []),
        ("LEFT_FOOT", ["body_part_differs"]), ("ABDOMEN", []), ("CHESTABDPELVIS", []), ("HEADNECK", []),
        ("", []), ("SPINE", []),
    ],
)  # fmt: skip
def test_a_part_without_lungs_contradicts_lungs(adult: Volume, part: str, expected: list[str]) -> None:
    assert codes(adult, BodyPartExamined=part) == expected


def test_a_chest_without_lung_is_a_contradiction() -> None:
    assert codes(lungless(), BodyPartExamined="CHEST") == ["no_lung", "chest_without_lung"]
    assert codes(lungless(), BodyPartExamined="HEAD") == ["no_lung"]
    assert [code for code, _ in body_notes(locate_lungs(lungless()))] == ["no_lung"]


def test_the_width_of_the_body_is_measured_where_it_is_whole(adult: Volume, child: Volume) -> None:
    assert body_width_mm(locate_lungs(adult)) == pytest.approx(300, abs=6)
    assert body_width_mm(locate_lungs(child)) == pytest.approx(140, abs=6)
    cut = Volume(adult.hu_DHW[:, :, 4:], adult.affine, "cut")
    assert body_width_mm(locate_lungs(cut)) is not None
    cut = Volume(adult.hu_DHW[:, :, 30:], adult.affine, "cut")
    assert body_width_mm(locate_lungs(cut)) is None


@pytest.mark.parametrize("size", [None, "", 0.0, 1.75, 175.0])
def test_an_adult_fits_an_adults_size(adult: Volume, size: float | str | None) -> None:
    assert codes(adult, PatientSize=size) == []


def test_a_small_body_is_noted_and_contradicts_an_adults_size(adult: Volume, child: Volume) -> None:
    assert codes(child) == ["small_body"]
    assert codes(child, PatientSize=0.95) == ["small_body"]
    assert codes(child, PatientSize=1.8) == ["small_body", "patient_size_differs"]
    large = replace(adult, affine=adult.affine @ np.diag([1, 1.1, 1.1, 1]))
    assert codes(large, PatientSize=0.9) == ["patient_size_differs"]


def test_searched_cavities_are_counted() -> None:
    shape = (70, 64, 90)
    affine = affine_around(orientation("axial", (3.0, 3.0, 3.0)), shape, (0, 0, 0))
    body = Body((120.0, 85.0), (50.0, 65.0, 80.0), 52.0)
    z, y, x = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 3 for n in shape], indexing="ij")
    hu = np.where(body.in_lungs(x, y, z), -1000, body.hu(x, y, z)).astype(np.int16)
    notes = dict(body_notes(locate_lungs(Volume(hu, affine, "phantom"))))
    assert notes["gas_cavity"] == "Air spaces above 700 ml without lung tissue were searched like lungs: 2."
