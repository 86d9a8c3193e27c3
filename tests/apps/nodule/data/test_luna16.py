"""LUNA16's CSV files: as published, in odd but fair shapes, and each fault with the line it must give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.luna16 import (
    Annotations,
    read_annotations,
    read_predictions,
    read_seriesuids,
    scan_numbers,
    write_annotations,
    write_seriesuids,
)
from core.data.paths import data_root
from core.errors import ExitCode, InputError

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
MARKS = "seriesuid,coordX,coordY,coordZ,probability\n"


def file_of(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_the_published_files_of_a_real_scan() -> None:
    root = data_root()
    if root is None or not (root / "ct" / "lidc-0063").is_dir():
        pytest.skip("ct/lidc-0063 is not here: set TRIPTYCH_DATA to the folder of real data")
    folder = root / "ct" / "lidc-0063"
    scans = read_seriesuids(folder / "seriesuids.csv")
    nodules = read_annotations(folder / "annotations.csv")
    excluded = read_annotations(folder / "annotations_excluded.csv")
    assert len(scans) == 1
    assert nodules.centre_K3.tolist()[1] == [-88.56419765, 20.20911916, -103.7426809]
    assert nodules.diameter_K.tolist() == [8.766657397, 7.076676777]
    assert scan_numbers(nodules.series, scans).tolist() == [0, 0]
    assert len(excluded.series) == 26
    assert (excluded.diameter_K == -1).sum() == 18


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, "\ufeffprobability, seriesuid,note,coordZ,coordY,coordX\r\n0.5,1.2,x,3,2,1\r\n\r\n"
    )
    marks = read_predictions(path)
    assert marks.series == ("1.2",)
    assert marks.centre_N3.tolist() == [[1.0, 2.0, 3.0]]
    assert marks.probability_N.tolist() == [0.5]
    assert np.isnan(marks.diameter_N).all()


def test_a_detector_that_found_nothing_is_not_a_fault(tmp_path: Path) -> None:
    marks = read_predictions(file_of(tmp_path, MARKS))
    assert marks.series == ()
    assert marks.centre_N3.shape == (0, 3)


def test_what_is_written_reads_back_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    series = ("1.2.3", "1.2.3", "name, with a comma")
    nodules = Annotations(series, rng.normal(size=(3, 3)), np.array([-1.0, 0.1, 1 / 3]))
    write_annotations(tmp_path / "a.csv", nodules)
    write_seriesuids(tmp_path / "s.csv", ("1.2.3", "4.5"))
    nodules_again = read_annotations(tmp_path / "a.csv")
    assert nodules_again.series == series
    assert np.array_equal(nodules_again.centre_K3, nodules.centre_K3)
    assert np.array_equal(nodules_again.diameter_K, nodules.diameter_K)
    assert (tmp_path / "s.csv").read_text() == "1.2.3\n4.5\n"
    assert read_seriesuids(tmp_path / "s.csv") == ("1.2.3", "4.5")


def test_columns_of_written_files(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.csv", Annotations((), np.zeros((0, 3)), np.zeros(0)))
    assert (tmp_path / "a.csv").read_text() == HEADER


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", "csv_empty", "is empty; wanted the columns seriesuid, coordX, coordY, coordZ, diameter_mm"),
        ("\n \n", "csv_empty", "is empty; wanted the columns seriesuid"),
        (
            "seriesuid,coordX,coordZ\n1,2,3\n",
            "csv_column",
            "row 1 lacks the column coordY, diameter_mm; it must name",
        ),
        (
            HEADER + "1,0,0,0,5\n1,0,zero,0,5\n",
            "csv_value",
            "row 3, column coordY: the value holds text, wanted a finite number",
        ),
        (
            HEADER + "\n1,nan,0,0,5\n",
            "csv_value",
            "row 3, column coordX: the value holds nan, wanted a finite number",
        ),
        (
            HEADER + "1,0,0,-inf,5\n",
            "csv_value",
            "row 2, column coordZ: the value holds -inf, wanted a finite number",
        ),
        (
            HEADER + "1,0,0,0,\n",
            "csv_value",
            "row 2, column diameter_mm: the value holds nothing, wanted a finite number",
        ),
        (
            HEADER + "1,0,0\n",
            "csv_value_missing",
            "row 2, column coordZ: the value is missing: the row has 3 values",
        ),
        (HEADER + ",0,0,0,5\n", "csv_value_empty", "row 2, column seriesuid: the value is empty"),
        (HEADER + '"1\n2"x,0,0,0,5\x00\n', "csv_value", "column diameter_mm"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, code: str, sentence: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    assert caught.value.code == code
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert str(caught.value).startswith(f"{path} ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mark_on_an_unknown_scan_is_refused_without_naming_it(tmp_path: Path) -> None:
    path = file_of(tmp_path, MARKS + "1.2,0,0,0,1\n9.8.7,0,0,0,1\n9.8.6,0,0,0,1\n")
    with pytest.raises(
        InputError,
        match=r"row 3, column seriesuid: the series is not in the list of scans \(rows of this kind: 2\)",
    ):
        read_predictions(path, scans=("1.2", "1.3"))
    assert len(read_predictions(path).series) == 3
    with pytest.raises(InputError) as caught:
        read_predictions(path, scans=("1.2",))
    assert "9.8" not in str(caught.value)


def test_a_cell_that_may_name_a_patient_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_annotations(file_of(tmp_path, HEADER + "1,0,0,0,Doe^John\n"))
    assert "Doe" not in str(caught.value)


def test_files_that_are_not_text_or_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_annotations(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_annotations(tmp_path)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="is not a text file in UTF-8"):
        read_annotations(binary)


def test_lists_of_scans(tmp_path: Path) -> None:
    assert read_seriesuids(file_of(tmp_path, "seriesuid\r\n1.2\r\n\r\n1.3\r\n")) == ("1.2", "1.3")
    with pytest.raises(
        InputError, match="row 3, column seriesuid: the value repeats row 1: a scan must be listed once"
    ):
        read_seriesuids(file_of(tmp_path, "1.2\n1.3\n1.2\n"))
    with pytest.raises(InputError, match="lists no series"):
        read_seriesuids(file_of(tmp_path, "seriesuid\n"))


def test_places_in_the_list_of_scans() -> None:
    assert scan_numbers(("b", "x", "a"), ("a", "b")).tolist() == [1, -1, 0]
    assert scan_numbers((), ("a",)).dtype == np.int64
