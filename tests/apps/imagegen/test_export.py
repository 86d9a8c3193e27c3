"""stage=export formats=[…]: the four networks leave, and pictures are drawn on them by the same contract."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apps.imagegen import load_pipeline
from apps.imagegen.config import ImagegenConfig
from apps.imagegen.errors import RecipeError
from apps.imagegen.export import export, task_of
from apps.imagegen.generate import generate, run
from apps.imagegen.pictures import Picture, prepare, replay
from core.errors import ConfigError, InputError
from core.export.manifest import NAME, read_manifest
from core.runs.folder import Run
from core.runs.log import RunLog
from tests.apps.imagegen.exported import FORMATS, folder, metrics
from tests.apps.imagegen.test_evaluate import judges
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first test exports
PROMPT = "red apple"


def _config(**fields: Any) -> ImagegenConfig:
    fields = {"prompt": PROMPT, "steps": 2, "seed": 7, "weights": str(folder() / "tiny"), **fields}
    return ImagegenConfig("generate", **fields)


def _drawn(**fields: Any) -> list[Picture]:
    pictures = [picture for _, picture in generate(_config(**fields)).pictures()]
    assert all(isinstance(one, Picture) for one in pictures)
    return pictures  # type: ignore[return-value]


def _on_openvino(**fields: Any) -> list[Picture]:
    return _drawn(artifacts=str(folder() / "out"), runtime="openvino", **fields)


def test_the_manifest_has_all_four_networks() -> None:
    manifest = read_manifest(folder() / "out")
    assert (manifest.app, manifest.model) == ("imagegen", load_pipeline(folder() / "tiny", "cpu").digest)
    held = {(one.network, one.format) for one in manifest.artifacts}
    networks = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
    assert held == {*((one, "torchscript") for one in networks), ("unet", "openvino")}
    for one in manifest.artifacts:
        assert one.error <= 1e-4
        assert {case.inputs for case in one.cases} == {"random", "real"}
        assert set(one.metrics) == {"KID", "caption match"}
        assert one.metrics["KID"].allowed > 0
    assert len(metrics()["table"]) == len(networks) * len(FORMATS)


def test_pictures_on_artifacts_are_those_of_pytorch_and_name_their_runtime() -> None:
    (eager,) = _drawn()
    (other,) = _on_openvino()
    assert np.abs(eager.rgb_HWC.astype(int) - other.rgb_HWC.astype(int)).max() <= 2
    assert eager.recipe.runtime == ""
    assert "runtime" not in eager.recipe.as_json()
    name, _, digest = other.recipe.runtime.partition(":")
    assert (name, len(digest)) == ("openvino", 64)
    assert other.recipe.as_json()["runtime"] == other.recipe.runtime


def test_bytes_depend_on_the_recipe_alone() -> None:
    three = _on_openvino(n=3)
    (one,) = _on_openvino(seed=9)
    assert three[2].png == one.png
    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        (again,) = _on_openvino(seed=9)
    finally:
        torch.set_num_threads(before)
    assert again.png == one.png


def test_a_picture_is_replayed_by_the_runtime_that_drew_it(tmp_path: Path) -> None:
    (eager,), (other,) = _drawn(), _on_openvino()
    other.save(tmp_path / "other.png")
    config = ImagegenConfig(
        "generate",
        replay=str(tmp_path / "other.png"),
        output=str(tmp_path / "again"),
        weights=str(folder() / "tiny"),
        artifacts=str(folder() / "out"),
        runtime="openvino",
    )
    with (record := Run(tmp_path / "run")).log:
        assert run(config, record) == 0
    assert (tmp_path / "again" / "other.png").read_bytes() == other.png
    pytorch, exported = load_pipeline(folder() / "tiny", "cpu"), generate(_openvino_config()).inputs.pipeline
    with pytest.raises(RecipeError, match=r"drawn by openvino \(.{12}…\), and PyTorch would draw it"):
        replay(other.png, pipeline=pytorch)
    with pytest.raises(
        RecipeError, match=r"drawn by PyTorch, and openvino \(.{12}…\) would draw it"
    ) as caught:
        replay(eager.png, pipeline=exported)
    assert (caught.value.code, caught.value.param) == ("runtime_other", "runtime")


def _openvino_config() -> ImagegenConfig:
    return _config(artifacts=str(folder() / "out"), runtime="openvino")


def test_what_changes_or_watches_weights_needs_pytorch() -> None:
    for fields, sentence in (
        ({"adapter": "some.safetensors"}, "adapter= changes the weights"),
        ({"probes": "attention"}, "probes=attention watches PyTorch's U-Net"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            _config(artifacts=str(folder() / "out"), **fields)
    inputs = generate(_openvino_config()).inputs
    with pytest.raises(ConfigError, match="adapter= changes the weights"):
        prepare(inputs.pipeline, inputs.recipe, adapter="some.safetensors")
    with pytest.raises(ConfigError, match="watches PyTorch's U-Net"):
        prepare(inputs.pipeline, inputs.recipe, attention=True)


def test_artifacts_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    other = tiny_pipeline(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"was exported from other weights .* export them again"):
        _on_openvino(weights=str(other))
    with pytest.raises(
        ConfigError, match=r"runtime=onnx of .* is not in .*, which holds torchscript, openvino"
    ):
        _drawn(artifacts=str(folder() / "out"), runtime="onnx")
    with pytest.raises(InputError, match=f"holds no {NAME}: name a folder that stage=export made"):
        _drawn(artifacts=str(other))
    changed = tmp_path / "changed"
    shutil.copytree(folder() / "out", changed)
    with (changed / "openvino" / "unet.bin").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(InputError, match="is not the file that was exported"):
        _drawn(artifacts=str(changed), runtime="openvino")


def test_formats_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='formats=onxx is not a format: did you mean "onnx"'):
        ImagegenConfig("export", output="o", formats=["onxx"])
    with (
        RunLog(tmp_path / "log.jsonl") as log,
        pytest.raises(ConfigError, match=r"formats=\[\] asks for nothing"),
    ):
        export(ImagegenConfig("export", output="o"), log, on_step=print)


def test_each_metric_may_end_inside_the_interval_of_pytorch(tmp_path: Path) -> None:
    pipeline = load_pipeline(tiny_pipeline(tmp_path / "tiny"), "cpu")
    task = task_of(pipeline, judges(), steps=3)
    assert task.about == "32 pictures of embedded prompts, 3 steps each"
    before = task.measure({})
    assert before["caption match"] == 1.0
    kid, match = task.metrics
    assert (kid.name, kid.better, match.name, match.better) == ("KID", "lower", "caption match", "higher")
    assert kid.allowed > 0
    assert match.allowed == 0  # this oracle is never wrong
    black = task.measure({"vae_decoder": lambda latent_1Lhw: torch.full((1, 3, 32, 32), -1.0)})
    assert kid.lost(before["KID"], black["KID"]) > kid.allowed
