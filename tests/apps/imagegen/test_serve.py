"""The stage: what it refuses to start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.serve import run
from core.errors import InputError
from core.export.manifest import VERSION, Manifest, write_manifest
from core.runs.folder import Run
from core.serving.server import bind
from tests.apps.imagegen.tiny import tiny_pipeline


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    opened = Run(tmp_path / "run")
    with opened.log, pytest.raises(InputError, match=r"holds no model_index\.json") as caught:
        run(ImagegenConfig(stage="serve", model=ModelConfig(path=str(tmp_path))), opened)
    assert caught.value.code == "model_index_missing"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    opened = Run(tmp_path / "run")
    with opened.log, bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        path = tiny_pipeline(tmp_path / "tiny")
        cfg = ImagegenConfig(stage="serve", port=port, model=ModelConfig(path=str(path)))
        with pytest.raises(InputError, match=rf"port {port} of 127\.0\.0\.1 is taken by another program"):
            run(cfg, opened)


def test_artifacts_of_other_weights_are_refused_before_it_listens(tmp_path: Path) -> None:
    manifest = Manifest(VERSION, "imagegen", "0" * 64, "a processor", "nothing", {}, {}, (), ())
    (tmp_path / "out").mkdir()
    write_manifest(manifest, tmp_path / "out")
    path = tiny_pipeline(tmp_path / "tiny")
    opened = Run(tmp_path / "run")
    cfg = ImagegenConfig(stage="serve", port=0, weights=str(path), artifacts=str(tmp_path / "out"))
    with opened.log, pytest.raises(InputError, match="was exported from other weights") as caught:
        run(cfg, opened)
    assert caught.value.code == "artifact_other_model"
