"""Files named beside a prompt are read once, at the size asked for, and refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import apps.imagegen.models.given as module
from apps.imagegen.data.pixels import decode_image
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.given import brought, given, read_file, whole_size
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.resolve import sha256_of
from apps.imagegen.reasons import ADAPTER
from core.errors import InputError
from tests.apps.imagegen.models import lora
from tests.apps.imagegen.tiny import tiny_pipeline

SQUARE = Recipe("cat", width=32, height=32)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("model")))


def test_nothing_named_is_nothing_given(pipeline: Pipeline) -> None:
    files = given(pipeline, SQUARE)
    assert (files.image, files.mask, files.adapters, files.adapter) == (None, None, None, None)


def test_a_picture_and_its_mask_are_brought_to_size(pipeline: Pipeline, tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "a.png")
    mask = Image.new("L", (80, 40), 0)
    mask.paste(255, (40, 0, 80, 40))
    mask.save(tmp_path / "m.png")
    files = given(
        pipeline,
        replace(SQUARE, width=48),
        fit="stretch",
        image=(tmp_path / "a.png").read_bytes(),
        mask=(tmp_path / "m.png").read_bytes(),
    )
    assert files.image is not None
    assert files.image.shape == (32, 48, 3)
    assert (files.image == (10, 200, 30)).all()
    assert files.mask is not None
    assert np.array_equal(files.mask, np.arange(48)[None] + np.zeros((32, 1)) >= 24)


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("none.safetensors", "adapter_missing", "adapter={} is not a file: name a .safetensors file"),
        ("folder.safetensors", "adapter_missing", "adapter={} is not a file: name a .safetensors file"),
        (
            "a.bin",
            "adapter_pickled",
            ADAPTER.sentence("adapter_pickled", name="{}"),
        ),
        ("a.zip", "adapter_suffix", "adapter={} is of another kind: a .safetensors file is wanted"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    pipeline: Pipeline, tmp_path: Path, name: str, code: str, sentence: str
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    for other in ("a.bin", "a.zip", "a.safetensors"):
        (tmp_path / other).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        given(pipeline, SQUARE, adapter=str(tmp_path / name))
    assert (caught.value.code, caught.value.sentence) == (code, sentence.format(tmp_path / name))


def test_a_broken_adapter_is_refused_before_anything_is_drawn(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"not one")
    with pytest.raises(InputError) as caught:
        given(pipeline, SQUARE, adapter=str(tmp_path / "a.safetensors"))
    assert caught.value.code == "adapter_not_safetensors"


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_file(tmp_path / "a", "image") == b"abc"
    with pytest.raises(InputError, match=r"^mask=.*/b cannot be read: No such file or directory$"):
        read_file(tmp_path / "b", "mask")
    monkeypatch.setattr(module, "_LARGEST", 2)
    with pytest.raises(InputError, match=r"^image=.*/a has more than 0 MB: make it smaller$"):
        read_file(tmp_path / "a", "image")


def test_a_recipe_without_a_size_takes_that_of_the_nearest_shape(pipeline: Pipeline, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for recipe, size in ((Recipe("cat"), (48, 32)), (SQUARE, (32, 32))):
        result = whole_size(pipeline, recipe, data)
        assert (result.width, result.height) == size
    assert whole_size(pipeline, Recipe("cat"), None) == Recipe("cat")


@pytest.mark.parametrize("drawn_by", ["crop", "pad", "stretch"])
def test_a_recipe_finds_the_fit_that_it_was_drawn_by(tmp_path: Path, drawn_by: str) -> None:
    Image.effect_noise((90, 60), 90).convert("RGB").save(tmp_path / "a.png")
    Image.new("L", (90, 60), 255).save(tmp_path / "m.png")
    data, mask = (tmp_path / "a.png").read_bytes(), (tmp_path / "m.png").read_bytes()
    expected = decode_image(data, (32, 32), fit=drawn_by)
    recipe = replace(SQUARE, image_sha256=sha256_of(expected))
    image_HWC, mask_HW, note = brought(data, mask, recipe, "crop")
    assert np.array_equal(image_HWC, expected)
    assert mask_HW is not None
    assert mask_HW.all() == (drawn_by != "pad")
    assert note.startswith("the image of 90x60 pixels is brought to 32x32")
    other, _, _ = brought(data, None, replace(SQUARE, image_sha256="0" * 64), "pad")
    assert np.array_equal(other, decode_image(data, (32, 32), fit="pad")), "another picture is refused later"


def test_a_folder_that_peft_wrote_is_an_adapter(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = lora.write_peft(tmp_path / "sketch", pipeline.unet, seed=1, alpha=2)
    files = given(pipeline, SQUARE, adapter=str(folder))
    assert (files.adapter, files.note) == ("adapter_model", "")
    (folder / "adapter_config.json").unlink()
    assert "lies without its adapter_config.json" in given(pipeline, SQUARE, adapter=str(folder)).note
