"""The record of the images' export: every format, and the seconds of a picture on each that runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.reasons import RUNTIME
from benchmarks.imagegen import export
from benchmarks.imagegen.export import run, seconds_of
from core.export.manifest import Manifest, read_manifest
from core.runs.log import RunLog
from tests.apps.imagegen.tiny import tiny_pipeline
from tests.core.export.exported import FORMATS, exported


def test_a_picture_is_timed_with_each_runtime_and_a_refusal_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[ImagegenConfig] = []

    def stands_in(config: ImagegenConfig, log: RunLog, on_step: object) -> Manifest:
        configs.append(config)
        return read_manifest(exported())

    def on_artifacts(pipeline: Pipeline, folder: Path, runtime: str) -> Any:
        assert folder == tmp_path / "cache" / "exported"
        if runtime == "torchscript":
            raise RUNTIME("runtime_without_unet", path=folder, runtime=runtime, held="none")
        return runtime

    model = tiny_pipeline(tmp_path / "tiny")
    monkeypatch.setattr(export, "export", stands_in)
    monkeypatch.setattr(export, "on_artifacts", on_artifacts)
    monkeypatch.setattr(export, "seconds_of", lambda one, steps: 2.0 if one == "openvino" else float(steps))
    record = run(model=str(model), steps="5", cache=str(tmp_path / "cache"))
    (config,) = configs
    assert (config.stage, config.weights, config.data.cache) == (
        "export",
        str(model),
        str(tmp_path / "cache"),
    )
    # Triton's repository is not run here
    assert list(record["picture"]) == ["pytorch", *(name for name in FORMATS if name != "triton")]
    # no path of this machine
    assert record["picture"]["torchscript"].startswith("exported holds no U-Net")
    assert record["model"] == read_manifest(exported()).model
    assert 0 <= record["export_processor_seconds"] < 600
    assert record["headline"]["picture"] == "2.0 s (openvino; PyTorch 5.0 s)"


def test_the_time_is_that_of_a_picture(tmp_path: Path) -> None:
    pipeline = load_pipeline(tiny_pipeline(tmp_path / "tiny"), "cpu")
    assert 0 < seconds_of(pipeline, 2) < 60
