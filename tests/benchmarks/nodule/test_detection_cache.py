"""Answers are kept: a second search of a scan costs nothing, other weights or another scan are searched anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import lung_box
from apps.nodule.models.compact_detector import load_compact
from apps.nodule.models.findings import Candidate
from benchmarks.nodule.detection_cache import (
    BLOB_CODE,
    COMPACT_CODE,
    DetectionCache,
    array_digest,
    blob_cache,
    code_digest,
    compact_cache,
    detect_in_box,
    weights_digest,
)
from benchmarks.nodule.working_point import stamp
from tests.apps.nodule.bodies import Ball, Body, small_scan
from tests.benchmarks.nodule.small import detector


def test_a_second_search_costs_nothing(tmp_path: Path) -> None:
    searched = []

    def run_detector() -> list[Candidate]:
        searched.append(1)
        return [Candidate((1.5, -2.25, 3.0), 6.5, 0.1 + 0.2)]

    detections = DetectionCache(tmp_path, "one")
    assert detections("scan", run_detector) == detections("scan", run_detector) == run_detector()
    assert len(searched) == 2
    DetectionCache(tmp_path, "other")("scan", run_detector)
    assert len(searched) == 3


def test_an_answer_belongs_to_its_weights(tmp_path: Path) -> None:
    first, second = detector(seed=0), detector(seed=1)
    assert compact_cache(tmp_path, first).identity == compact_cache(tmp_path, detector(seed=0)).identity
    assert compact_cache(tmp_path, first).identity != compact_cache(tmp_path, second).identity
    assert blob_cache(tmp_path).identity.startswith("blob-")


def test_metadata_are_not_weights(tmp_path: Path) -> None:
    stamp(detector(), 0.4, "7", tmp_path / "a.safetensors")
    read = load_compact(ModelConfig(), str(tmp_path / "a.safetensors"))
    assert (read.threshold, read.version) == (0.4, "7")
    stamp(detector(), 0.6, "8", tmp_path / "b.safetensors")
    other = load_compact(ModelConfig(), str(tmp_path / "b.safetensors"))
    assert (other.threshold, other.version) == (0.6, "8")
    assert weights_digest(read.net) == weights_digest(other.net)


def test_digests_tell_code_and_arrays_apart() -> None:
    assert code_digest(COMPACT_CODE) != code_digest(BLOB_CODE)
    a = np.arange(6).reshape(2, 3)
    assert array_digest(a) == array_digest(a.copy()) != array_digest(a + 1)
    assert array_digest(a.T) == array_digest(np.ascontiguousarray(a.T))


def test_a_search_of_a_box_is_the_detectors_own() -> None:
    torch.set_num_threads(1)
    searching = detector()
    # it proposes something everywhere, and nothing likely enough for a mass
    searching.net.proposal.head.bias.data[0] = -0.5
    searching.most = 8
    volume = small_scan(Body(lung_mm=(24.0, 30.0, 40.0), balls=(Ball((-42.0, 9.0, 12.0), 9.0),)))
    candidates = detect_in_box(searching, lung_box(volume, 1.0))
    assert len(candidates) > 3
    assert candidates == searching.detect(volume).candidates
