"""What a scan costs: parts, TFLOP, and the command as a user types it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from apps.nodule.data.volume_files import write_volume_file
from benchmarks.nodule import speed
from benchmarks.nodule.speed import measure_speed, whole_command
from benchmarks.nodule.working_point import stamp
from core.errors import InputError
from tests.apps.nodule.bodies import Ball, Body, affine_around, orientation, scan_of
from tests.benchmarks.nodule.small import detector

SHAPE = (32, 50, 66)


def scan_folder(folder: Path) -> Path:
    body = Body(lung_mm=(24.0, 30.0, 40.0), balls=(Ball((-42.0, 9.0, 12.0), 9.0),))
    volume = scan_of(body, affine_around(orientation("axial", (3.0, 3.0, 3.0)), SHAPE, (0, 0, 0)), SHAPE)
    write_volume_file(volume, folder / "body.nii.gz")
    return folder


def test_parts_and_tflop_of_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(
        speed, "whole_command", lambda folder, weights: {"seconds": 9.6, "peak_memory_mb": 812}
    )
    monkeypatch.setattr(speed, "FEWEST", 2)
    searching = detector()
    searching.most = 2  # few candidates to judge, and to draw
    record = measure_speed(searching, None, scan_folder(tmp_path))
    assert record["shape"] == list(SHAPE)
    assert record["spacing_mm"] == [3.0, 3.0, 3.0]
    assert list(record["seconds"]) == [
        "find series",
        "read",
        "lungs",
        "resample",
        "propose",
        "judge",
        "masses",
        "segment",
        "write results",
    ]
    assert 0.0001 < record["tflop"] < 0.3
    assert record["headline"]["wall"] == "10 s"
    assert record["headline"]["peak memory"] == "0.8 GB"


def test_the_whole_command_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(words: list[str], **rest: Any) -> subprocess.CompletedProcess[str]:
        seen.append(words)
        return subprocess.CompletedProcess(words, 2 if len(seen) > 1 else 0, "said\n930\n", "no such field")

    monkeypatch.setattr(subprocess, "run", run)
    result = whole_command(tmp_path, str(tmp_path / "w.safetensors"))
    assert result["seconds"] >= 0
    assert result["peak_memory_mb"] == 930
    assert seen[0][4:7] == ["-m", "pipelines.nodule", "stage=infer"]
    assert f"input={tmp_path}" in seen[0]
    assert f"weights={tmp_path / 'w.safetensors'}" in seen[0]
    with pytest.raises(InputError, match="stage=infer ended with 2: no such field"):
        whole_command(tmp_path, None)


def test_a_folder_without_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "whole_command", lambda folder, weights: {"seconds": 1.0, "peak_memory_mb": 1})
    stamp(detector(), 0.5, "1", tmp_path / "not-a-scan.safetensors")
    with pytest.raises(InputError, match="holds no series that is accepted"):
        measure_speed(detector(), None, tmp_path)
