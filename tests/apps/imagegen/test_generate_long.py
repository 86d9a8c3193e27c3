"""Prompts beyond one window of the text encoder: all of them counts, or the command says how much."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import apps.imagegen.generate as module
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.report.recipe_files import file_bytes, pixels_of, recipe_of
from core.runs.folder import Run
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

LONG = "cat " * 60
TOO_LONG = "cat " * 300


@pytest.fixture(scope="module", params=[tiny_pipeline, tiny_sd15])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(request.param(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(autouse=True)
def loaded_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_pipeline", lambda folder, device: pipeline)


def _generate(folder: Path, output: str, **fields: Any) -> list[Path]:
    record = Run(folder / "run")
    with record.log:
        cfg = ImagegenConfig(
            "generate", output=str(folder / output), model=ModelConfig(device="cpu"), **{"steps": 1, **fields}
        )
        assert module.run(cfg, record) == 0
    return sorted((folder / output).glob("0*_seed-?.png"))


def test_the_end_of_a_long_prompt_counts_and_its_words_are_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (one,) = _generate(tmp_path, "one", prompt=f"{LONG} red")
    (other,) = _generate(tmp_path, "other", prompt=f"{LONG} blue", probes="attention")
    assert not np.array_equal(pixels_of(one.read_bytes()), pixels_of(other.read_bytes()))
    assert capfd.readouterr().err == "", "all of it is used"
    assert recipe_of(one.read_bytes()).text_chunks > 1
    assert other.with_name(f"{other.stem}_attention.png").exists()


def test_how_much_of_a_prompt_is_used_is_reported_and_kept_with_the_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (picture,) = _generate(tmp_path, "out", prompt=TOO_LONG)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("note: the first 224 of ")
    assert line.endswith(" tokens of the prompt are used: the text encoder reads no more")
    with Image.open(io.BytesIO(picture.read_bytes())) as opened:
        assert f"note: {opened.info['Comment']}" == line
    _generate(tmp_path, "again", replay=str(picture))
    assert (tmp_path / "again" / picture.name).read_bytes() == picture.read_bytes()
    capfd.readouterr()
    lines = [f"{word} {TOO_LONG}" for word in ("red", "blue", "a", "of", "face")]
    (tmp_path / "p.txt").write_text("\n".join(["red apple", *lines]))
    assert len(_generate(tmp_path, "many", prompts=str(tmp_path / "p.txt"))) == 6
    notes = capfd.readouterr().err.splitlines()
    assert [note[:13] for note in notes] == [
        "note: line 2:",
        "note: line 3:",
        "note: line 4:",
        "note: so it i",
    ]
    assert notes[-1].endswith("2 more prompts")


def test_a_long_prompt_of_an_earlier_release_is_drawn_as_it_was(pipeline: Pipeline, tmp_path: Path) -> None:
    (cut,) = _generate(tmp_path, "cut", prompt="cat " * (14 if pipeline.latent_channels == 8 else 4))
    recipe = replace(recipe_of(cut.read_bytes()), prompt=LONG)
    assert recipe.text_chunks == 1
    earlier = tmp_path / "earlier.png"
    earlier.write_bytes(file_bytes(pixels_of(cut.read_bytes()), recipe))
    assert b"text_chunks" not in earlier.read_bytes()
    if pipeline.latent_channels == 8:  # one token a word: the first window is the same text
        _generate(tmp_path, "again", replay=str(earlier))
        assert (tmp_path / "again" / earlier.name).read_bytes() == earlier.read_bytes()


def test_jpeg_and_webp_are_drawn_again_byte_for_byte(pipeline: Pipeline, tmp_path: Path) -> None:
    (made,) = _generate(tmp_path, "made", prompt="red apple")
    data = made.read_bytes()
    for kind in ("JPEG", "WEBP"):
        path = tmp_path / f"apple.{kind.lower()}"
        path.write_bytes(file_bytes(pixels_of(data), recipe_of(data), kind=kind, quality=85))
        _generate(tmp_path, "again", replay=str(path))
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_to_start_from_keeps_its_shape_and_is_found_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], fit: str
) -> None:
    start = tmp_path / "start.png"
    Image.effect_noise((120, 160), 90).convert("RGB").save(start)
    fields = {"image": str(start), "strength": 0.5, "steps": 4}
    (made,) = _generate(tmp_path, "out", prompt="red apple", fit=fit, **fields)
    recipe = recipe_of(made.read_bytes())
    assert (recipe.width, recipe.height) == (32, 48), "the nearest shape"
    assert capfd.readouterr().err.startswith(
        "note: the image of 120x160 pixels is brought to 32x48: 11 % of "
    )
    _generate(tmp_path, "again", replay=str(made), image=str(start))
    assert (tmp_path / "again" / made.name).read_bytes() == made.read_bytes(), "by whatever fit"
