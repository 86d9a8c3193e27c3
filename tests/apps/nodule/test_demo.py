"""The demo's table: each nodule put in, beside the best mark within its radius."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from apps.nodule.demo import compare, read_candidates
from apps.nodule.models.findings import Candidate
from apps.nodule.report.tables import write_nodules

TRUTH = pd.DataFrame(
    {
        "coordX": [10.0, -40.0],
        "coordY": [20.0, 5.0],
        "coordZ": [30.0, 60.0],
        "diameter_mm": [8.0, 6.0],
        "kind": ["part_solid", "solid"],
        "placement": ["juxta_pleural", "isolated"],
    }
)


def test_a_mark_within_the_radius_is_a_hit_and_the_rest_is_missed() -> None:
    marks = [Candidate((10.0, 20.0, 33.0), 7.5, 0.9), Candidate((-40.0, 5.0, 63.5), 6.0, 0.8)]
    assert compare(TRUTH, marks) == [
        ["part-solid", "juxta-pleural", "8.0", "0.90", "7.5", "3.0"],
        ["solid", "isolated", "6.0", "missed", "", ""],
    ]


def test_of_two_marks_on_a_nodule_the_more_probable_counts() -> None:
    marks = [Candidate((11.0, 20.0, 30.0), 9.0, 0.7), Candidate((10.0, 20.0, 30.0), 8.0, 0.6)]
    assert compare(TRUTH, marks)[0][3:] == ["0.70", "9.0", "1.0"]


def test_without_marks_all_are_missed() -> None:
    assert [row[3] for row in compare(TRUTH, [])] == ["missed", "missed"]


def test_nodules_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    marks = [Candidate((1.5, -2.25, 3.125), 7.5, 0.875), Candidate((0.0, 0.0, 0.0), 4.0, 0.5)]
    write_nodules(tmp_path / "nodules.csv", "1.2.3", marks)
    assert read_candidates(tmp_path / "nodules.csv") == marks


def test_no_nodules_are_read_back_as_none(tmp_path: Path) -> None:
    write_nodules(tmp_path / "nodules.csv", "1.2.3", [])
    assert read_candidates(tmp_path / "nodules.csv") == []
