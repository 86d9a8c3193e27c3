"""Scans of test patients: each nodule with its probability, false positives, and a series that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.luna16 import Annotations, write_annotations, write_seriesuids
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import write_volume_file
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate, Detection
from benchmarks.nodule.unseen import measure_unseen
from core.errors import InputError
from tests.apps.nodule.bodies import Body, small_scan
from tests.benchmarks.nodule.small import detector

CENTRES = np.array([[-40.0, 0.0, 0.0], [40.0, 10.0, 0.0], [40.0, -10.0, 20.0]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    body = small_scan(Body(lung_mm=(28.0, 30.0, 34.0)), spacing_mm=(3.0, 2.0, 2.0))
    (tmp_path / "images").mkdir()
    write_volume_file(body, tmp_path / "images" / "one.nii.gz")
    write_seriesuids(tmp_path / "seriesuids.csv", ["one"])
    nodules = Annotations(("one",) * 3, CENTRES, np.array([8.0, 6.04, 12.0]))
    write_annotations(tmp_path / "annotations.csv", nodules)
    other = Annotations(("one",), np.array([[0.0, 40.0, 0.0]]), np.array([-1.0]))
    write_annotations(tmp_path / "annotations_excluded.csv", other)
    return tmp_path


def test_each_nodule_is_reported_with_its_probability(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def detect(_: CompactDetector, volume: Volume) -> Detection:
        first, second, _third = (tuple(map(float, centre)) for centre in CENTRES)
        positions = [(first, 0.9), (second, 0.3), ((-40.0, 20.0, 0.0), 0.7), ((0.0, 40.0, 0.0), 0.8)]
        marks = [*positions, ((0.0, 0.0, 30.0), 0.2)]
        return Detection([Candidate((x, y, z), 8.0, p) for (x, y, z), p in marks], ())

    monkeypatch.setattr(CompactDetector, "detect", detect)
    result = measure_unseen(detector(threshold=0.5), folder)
    assert result["nodules"] == [
        {"diameter_mm": 8.0, "probability": 0.9, "found": True},
        {"diameter_mm": 6.0, "probability": 0.3, "found": False},
        {"diameter_mm": 12.0, "probability": None, "found": False},
    ]
    assert (result["scans"], result["found"], result["threshold"]) == (1, 1, 0.5)
    assert result["false_positives"] == 1, "a mark on an excluded finding counts for nothing"
    assert result["false_scores"] == [0.7]
    assert result["headline"] == {"found": "1 of 3", "false positives": "1"}


def test_a_series_that_is_not_there_is_reported_by_its_number(folder: Path) -> None:
    write_seriesuids(folder / "seriesuids.csv", ["one", "1.2.840.99"])
    with pytest.raises(InputError, match=r"series 2 of seriesuids\.csv is not there, or refused$"):
        measure_unseen(detector(), folder)
