"""An exported folder is whole: plain diffusers draws with it, and draws what the engine draws."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.export import run
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_export import PARTS
from apps.imagegen.models.pipeline_folder import load_pipeline
from core.errors import InputError
from core.runs.folder import Run
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")
    (folder / "card.md").write_text("# The model's own card\n", encoding="utf-8")
    return folder


def _export(model: Path, output: Path, record: Path) -> int:
    opened = Run(record)
    with opened.log:
        return run(ImagegenConfig("export", output=str(output), model=ModelConfig(path=str(model))), opened)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("make", [tiny_pipeline, tiny_sd15])
def test_plain_diffusers_draws_what_the_engine_draws(make: type, tmp_path: Path) -> None:
    """By the three lines of its README, offline, with the scheduler that the engine calls ddim."""
    make(tmp_path / "model")
    assert _export(tmp_path / "model", tmp_path / "out", tmp_path / "run") == 0
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "out", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config,
        clip_sample=False,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        steps_offset=1,
    )
    drawn = pipeline(
        "red apple",
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    with Engine(load_pipeline(tmp_path / "model"), rows=4) as engine:
        wanted_HWC = engine.submit(Recipe("red apple", seed=5, steps=4, guidance=3.0)).result()
    assert drawn.shape == (32, 32, 3)
    assert wanted_HWC.std() > 3
    assert np.abs(255 * drawn - wanted_HWC).max() < 2


def test_a_folder_says_what_it_is_and_nothing_of_this_machine(model: Path, tmp_path: Path) -> None:
    assert _export(model, tmp_path / "out", tmp_path / "run") == 0
    content = _bytes(tmp_path / "out")
    assert {name.partition("/")[0] for name in content} == {
        *PARTS,
        "README.md",
        "card.md",
        "model_index.json",
    }
    readme = content["README.md"].decode()
    code = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(code) == 1
    assert len(code[0].splitlines()) == 3
    assert 'StableDiffusionPipeline.from_pretrained("FOLDER")' in code[0]
    assert "| pictures | 32 x 32 pixels; also 48 x 32, 32 x 48, 48 x 48 |" in readme
    assert "squaredcos_cap_v2, v_prediction, 1000 steps" in readme
    assert "licence: [card.md](card.md)" in readme
    assert content["card.md"] == b"# The model's own card\n"
    for name, data in content.items():
        assert str(tmp_path).encode() not in data, name
        assert str(model).encode() not in data, name
    for path in (tmp_path / "out").rglob("*.safetensors"):
        assert path.stat().st_mode == (tmp_path / "out" / "README.md").stat().st_mode
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["bytes"] == sum(map(len, content.values()))


def test_an_export_is_a_model_and_exporting_again_writes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert _export(model, tmp_path / "a", tmp_path / "run") == 0
    first = _bytes(tmp_path / "a")
    assert _export(tmp_path / "a", tmp_path / "b", tmp_path / "run") == 0
    second = _bytes(tmp_path / "b")
    changed = {"README.md"}  # it names the folder and the digest that it was made from
    assert {name: data for name, data in second.items() if name not in changed} == {
        name: data for name, data in first.items() if name not in changed
    }


def test_weights_that_were_float16_stay_so(model: Path, tmp_path: Path) -> None:
    pipeline = load_pipeline(model)
    for network in (pipeline.unet, pipeline.vae):
        network.half().save_pretrained(tmp_path / "half" / ("unet" if network is pipeline.unet else "vae"))
    for name in ("scheduler", "text_encoder", "tokenizer", "model_index.json"):
        (tmp_path / "half" / name).symlink_to(model / name)
    for source, dtype in ((tmp_path / "half", "float16"), (model, "float32")):
        assert _export(source, tmp_path / dtype, tmp_path / "run") == 0
        metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
        assert metrics["dtype"] == dtype
        assert f"| weights | {dtype}, safetensors |" in (tmp_path / dtype / "README.md").read_text()


def test_an_export_of_another_model_is_never_replaced(model: Path, tmp_path: Path) -> None:
    sd15 = tiny_sd15(tmp_path / "sd15")
    assert _export(sd15, tmp_path / "out", tmp_path / "run") == 0
    before = _bytes(tmp_path / "out")
    with pytest.raises(InputError, match="holds an export of another model: name a new folder") as caught:
        _export(model, tmp_path / "out", tmp_path / "run")
    assert caught.value.code == "output_other_model"
    assert _bytes(tmp_path / "out") == before


def test_an_earlier_export_is_written_anew_and_what_lies_beside_it_is_left(
    model: Path, tmp_path: Path
) -> None:
    assert _export(model, tmp_path / "out", tmp_path / "run") == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "tokenizer" / "old.txt").write_text("stale")
    assert _export(model, tmp_path / "out", tmp_path / "run") == 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "tokenizer" / "old.txt").exists()
    assert load_pipeline(tmp_path / "out").latent_channels == 8


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "model_index.json"])
def test_a_folder_of_something_else_is_left_alone(model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(InputError, match="holds something other than an earlier export: name a new folder"):
        _export(model, tmp_path / "out", tmp_path / "run")
    assert _bytes(tmp_path / "out") == {name: b"mine"}


def test_wrong_places_are_reported_in_one_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a folder"):
        _export(model, tmp_path / "file", tmp_path / "run")
    with pytest.raises(InputError, match="is the model itself: name another folder"):
        _export(model, model / ".." / model.name, tmp_path / "run")
    with pytest.raises(InputError, match=r"holds no model_index\.json"):
        _export(tmp_path / "none", tmp_path / "out", tmp_path / "run")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_reported(model: Path, tmp_path: Path, small_disk: Path) -> None:
    with pytest.raises(InputError) as caught:
        _export(model, small_disk / "out", tmp_path / "run")
    assert caught.value.sentence == f"the disk of {small_disk / 'out'} is full"
    assert not (small_disk / "out" / "model_index.json").exists()
