"""The stage: what it refuses to start with."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import apps.imagegen.serve as module
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.generate import generate
from apps.imagegen.pictures import Picture
from apps.imagegen.report.recipe_png import recipe_of
from apps.imagegen.serve import run
from core.errors import InputError
from core.export.manifest import VERSION, Manifest, write_manifest
from core.runs.folder import Run
from core.serving.server import bind, served
from tests.apps.imagegen.exported import folder
from tests.apps.imagegen.served import READY_S, drawn, until
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


@pytest.mark.slow
@pytest.mark.timeout(600)  # whoever asks first for the shared export makes it
def test_the_service_on_artifacts_draws_the_bytes_that_generate_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole stage, with its server on a free port, which ends after one request instead of by a signal."""
    weights, artifacts = str(folder() / "tiny"), str(folder() / "out")
    events: list[tuple[str, dict[str, Any]]] = []

    def answers(app: FastAPI, *_: object) -> None:
        with served(app) as url:
            until(lambda: httpx.get(f"{url}/health/ready").status_code == 200, READY_S)
            events.extend(drawn(url, json={"prompt": "red apple", "steps": 3, "seed": 7}))

    monkeypatch.setattr(module, "serve", answers)
    with (opened := Run(tmp_path / "run")).log:
        cfg = ImagegenConfig("serve", weights=weights, artifacts=artifacts, runtime="openvino")
        assert run(cfg, opened) == 0
    (png,) = (base64.b64decode(data["png"]) for name, data in events if name == "done")
    assert recipe_of(png).runtime.startswith("openvino:")
    on_artifacts, on_pytorch = (
        next(
            iter(
                generate(ImagegenConfig("generate", prompt="red apple", steps=3, seed=7, **words)).pictures()
            )
        )[1]
        for words in (
            {"weights": weights, "artifacts": artifacts, "runtime": "openvino"},
            {"weights": weights},
        )
    )
    assert isinstance(on_artifacts, Picture)
    assert isinstance(on_pytorch, Picture)
    assert png == on_artifacts.png
    assert png != on_pytorch.png


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_runtime_that_cannot_draw_ends_the_stage_before_it_listens(tmp_path: Path) -> None:
    words = {"weights": str(folder() / "tiny"), "artifacts": str(folder() / "out"), "runtime": "torchscript"}
    opened = Run(tmp_path / "run")
    with opened.log, pytest.raises(InputError, match="runtime=torchscript cannot draw") as caught:
        run(ImagegenConfig("serve", port=0, **words), opened)
    assert caught.value.code == "runtime_unet_rows"
