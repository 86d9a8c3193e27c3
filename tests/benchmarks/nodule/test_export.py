"""The record of the detector's export: every format, and the scan's command with each that runs here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from apps.nodule.config import NoduleConfig
from benchmarks.nodule import export
from benchmarks.nodule.detection_cache import weights_digest
from benchmarks.nodule.export import measure_formats
from core.export.manifest import Manifest, read_manifest
from core.runs.log import RunLog
from tests.benchmarks.nodule.small import detector
from tests.core.export.exported import FORMATS, exported


def test_the_command_is_timed_with_each_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[NoduleConfig] = []

    def stands_in(config: NoduleConfig, log: RunLog, on_step: object) -> Manifest:
        configs.append(config)
        return read_manifest(exported())

    def command(folder: Path, weights: str | None, more: Sequence[str] = ()) -> dict[str, float]:
        assert (folder, weights) == (tmp_path / "scan", "w.safetensors")
        return {"seconds": 2.0 if "runtime=openvino" in more else 9.0, "peak_memory_mb": 800}

    monkeypatch.setattr(export, "export", stands_in)
    monkeypatch.setattr(export, "load_compact", lambda model, weights: detector())
    monkeypatch.setattr(export, "whole_command", command)
    record = measure_formats("w.safetensors", tmp_path / "scan", tmp_path, 3)
    (config,) = configs
    assert (config.stage, config.weights, config.export.scans) == ("export", "w.safetensors", 3)
    # Triton's repository is not run here
    assert list(record["infer"]) == ["pytorch", *(name for name in FORMATS if name != "triton")]
    assert record["weights"] == weights_digest(detector().net)
    assert record["headline"]["scan"] == "2.0 s (openvino)"
