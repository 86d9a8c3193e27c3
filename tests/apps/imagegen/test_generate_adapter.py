"""An adapter named by its file changes the pictures, goes into their recipe, and is wanted again to replay them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import apps.imagegen.generate as module
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.report.recipe_png import recipe_of
from core.errors import InputError
from core.runs.folder import Run
from tests.apps.imagegen.models.lora import write
from tests.apps.imagegen.tiny import tiny_pipeline

NAME = "001_red-apple_seed-7.png"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("model")))


@pytest.fixture(autouse=True)
def loaded_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_pipeline", lambda folder, device: pipeline)


def _generate(folder: Path, output: str, **fields: Any) -> bytes:
    asked = {"prompt": None if "replay" in fields else "red apple", "seed": 7, "steps": 2, **fields}
    record = Run(folder / "run")
    with record.log:
        cfg = ImagegenConfig(
            "generate", output=str(folder / output), model=ModelConfig(device="cpu"), **asked
        )
        assert module.run(cfg, record) == 0
    return (folder / output / NAME).read_bytes()


def test_an_adapter_changes_the_pictures_and_nothing_after_them(pipeline: Pipeline, tmp_path: Path) -> None:
    adapter = write(tmp_path / "adapters" / "sketch.safetensors", pipeline.unet, 1)
    write(tmp_path / "adapters" / "other.safetensors", pipeline.unet, 2)
    plain = _generate(tmp_path, "plain")
    full = _generate(tmp_path, "full", adapter=str(adapter))
    half = _generate(tmp_path, "half", adapter=str(adapter), adapter_scale=0.5)
    none = _generate(tmp_path, "none", adapter=str(adapter), adapter_scale=0.0)
    assert _generate(tmp_path, "again") == plain
    recipe = recipe_of(full)
    assert (recipe.adapter, recipe.adapter_scale) == ("sketch", 1.0)
    assert recipe.adapter_digest is not None
    pixels = [module.pixels_of(data) for data in (plain, full, half, none)]
    assert (pixels[1] != pixels[0]).any()
    assert (pixels[2] != pixels[0]).any()
    assert (pixels[2] != pixels[1]).any()
    assert (pixels[3] == pixels[0]).all()


def test_a_probe_sees_what_the_adapter_does(pipeline: Pipeline, tmp_path: Path) -> None:
    adapter = str(write(tmp_path / "sketch.safetensors", pipeline.unet, 1))
    plain = _generate(tmp_path, "plain", adapter=adapter)
    assert _generate(tmp_path, "with", adapter=adapter, probes="attention") == plain
    _generate(tmp_path, "without", probes="attention")
    maps = [
        (tmp_path / name / "001_red-apple_seed-7_attention.png").read_bytes() for name in ("with", "without")
    ]
    assert maps[0] != maps[1]


def test_replay_wants_the_same_adapter_whatever_its_file_is_called(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "a" / "sketch.safetensors", pipeline.unet, 1)
    renamed = tmp_path / "renamed.safetensors"
    shutil.copy(adapter, renamed)
    made = _generate(tmp_path, "made", adapter=str(adapter))
    source = str(tmp_path / "made" / NAME)
    assert _generate(tmp_path, "again", replay=source, adapter=str(renamed)) == made
    changed = write(tmp_path / "b" / "sketch.safetensors", pipeline.unet, 2)
    for given, sentence in (
        (None, f"{source} was drawn with adapter=: name the same file by adapter="),
        (str(changed), "the adapter sketch is another file than the recipe's"),
        (str(tmp_path / "none.safetensors"), "is not a file: name a .safetensors file"),
    ):
        with pytest.raises(InputError) as caught:
            _generate(tmp_path, "out", replay=source, adapter=given)
        assert sentence in caught.value.sentence


def test_an_adapter_of_another_model_is_refused_before_anything_is_drawn(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    write(tmp_path / "other.safetensors", pipeline.unet, 1, model="f" * 64)
    with pytest.raises(InputError) as caught:
        _generate(tmp_path, "out", adapter=str(tmp_path / "other.safetensors"))
    assert caught.value.code == "adapter_other_model"
    assert not (tmp_path / "out").exists()
