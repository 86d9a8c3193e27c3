"""The measurement on held-out phantoms, with answers that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Detection
from benchmarks.nodule.blob import BlobDetector
from benchmarks.nodule.held_out import HeldOut, TrueNodule
from benchmarks.nodule.phantoms import at_threshold, large, matched_on, measure_phantoms
from tests.benchmarks.nodule.small import detector


def chest(seed: int, tmp_path: Path, slice_mm: float = 1.0) -> HeldOut:
    nodules = (
        TrueNodule((0.0, 0.0, float(seed)), 8.0, "solid", "isolated"),
        TrueNodule((50.0, 0.0, 0.0), 4.5, "ground_glass", "juxta_pleural"),
    )
    path = tmp_path / f"{seed}.npz"
    np.savez(path, hu=np.zeros((2, 2, 2), np.int16), affine=np.eye(4))
    return HeldOut(seed, f"{seed:016d}", slice_mm, "soft", 1.0, nodules, path)


@pytest.fixture
def chests(tmp_path: Path) -> list[HeldOut]:
    return [chest(0, tmp_path), chest(1, tmp_path, 2.5)]


SEEN = [
    [Candidate((0.0, 1.0, 0.0), 8, 0.9), Candidate((90.0, 0.0, 0.0), 5, 0.7)],
    [Candidate((0.0, 1.0, 1.0), 8, 0.4), Candidate((50.0, 0.0, 0.0), 5, 0.8)],
]


def test_groups_at_a_threshold(chests: list[HeldOut]) -> None:
    matched = matched_on(chests, SEEN)
    assert matched.nodule_score_K.tolist() == [0.9, -np.inf, 0.4, 0.8]
    assert large(chests).tolist() == [True, False, True, False]
    result = at_threshold(matched, chests, 0.5)
    assert result["false_positives"] == 0.5
    assert (result["all"]["found"], result["all"]["count"]) == (2, 4)
    assert result["kind"]["ground_glass"]["found"] == 1
    assert result["kind"]["calcified"]["count"] == 0
    assert result["placement"]["isolated"]["found"] == 1
    assert result["diameter"]["< 5 mm"]["count"] == 2
    assert (result["slices"]["thin"]["found"], result["slices"]["thick"]["found"]) == (1, 1)


def test_both_detectors_are_measured_on_the_same_set(
    chests: list[HeldOut], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact = detector(threshold=0.5)
    searched: list[str] = []

    def answer(volume: Volume) -> Detection:
        searched.append(volume.uid)
        return Detection(SEEN[int(volume.uid)])

    monkeypatch.setattr(compact, "detect", answer)
    monkeypatch.setattr(BlobDetector, "detect", lambda self, volume: Detection([]))
    record = measure_phantoms(compact, chests, tmp_path / "detections")
    assert measure_phantoms(compact, chests, tmp_path / "detections") == record
    assert searched == ["0", "1"], "the second time nothing is searched"
    assert record["compact"]["cpm"] > record["blob"]["cpm"] == 0
    assert record["compact"]["scans"] == record["blob"]["scans"] == 2
    assert record["compact"]["working_point"]["all"]["found"] == 2
    assert record["headline"]["phantoms"] == "2"
    assert record["threshold"] == 0.5
    assert len(record["table"]) == 19
