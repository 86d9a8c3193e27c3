"""A Python program draws the bytes that the command draws."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import apps.imagegen.generate as command
from apps.imagegen import pictures
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import AdapterError, PictureError, RecipeError
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.pictures import draw, prepare, replay
from core.errors import ConfigError, InputError
from core.runs.folder import Run
from tests.apps.imagegen.models.lora import write
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return load_pipeline(folder, "cpu")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    left = Image.new("L", (80, 40), 0)
    left.paste(255, (0, 0, 40, 40))
    left.save(tmp_path / "m.png")
    return tmp_path / "m.png"


def _by_command(folder: Path, output: Path, **fields: object) -> list[bytes]:
    record = Run(output / "run")
    model = ModelConfig(path=str(folder), device="cpu")
    cfg = ImagegenConfig("generate", output=str(output / "out"), model=model, **fields)  # type: ignore[arg-type]
    with record.log:
        assert command.run(cfg, record) == 0
    return [path.read_bytes() for path in sorted((output / "out").glob("0*.png"))]


def test_it_draws_the_bytes_of_the_command(
    folder: Path, pipeline: Pipeline, image: Path, mask: Path, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "sketch.safetensors", pipeline.unet, 1)
    fields = {"seed": 3, "steps": 2, "negative": "blue", "size": "48x32", "n": 2, "adapter_scale": 0.5}
    files = {"image": str(image), "mask": str(mask), "adapter": str(adapter)}
    drawn = draw("red apple", pipeline=pipeline, **fields, **files)  # type: ignore[arg-type]
    commanded = _by_command(folder, tmp_path, prompt="red apple", **fields, **files)
    assert [one.png for one in drawn] == commanded
    assert [one.recipe.seed for one in drawn] == [3, 4]
    for one in drawn:
        assert one.rgb_HWC.shape == (32, 48, 3)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(one.png))), one.rgb_HWC)
        assert one.image().size == (48, 32)
        assert one.recipe.strength == 1.0, "what a mask shows is drawn anew"
    assert drawn[0].notes[0].startswith("the image of 80x40 pixels is brought to 48x32")
    drawn[0].save(tmp_path / "kept.png")
    assert (tmp_path / "kept.png").read_bytes() == drawn[0].png


def test_several_prompts_come_in_their_order(pipeline: Pipeline) -> None:
    drawn = draw(["cat", "dog"], pipeline=pipeline, n=2, steps=1, attention=True)
    assert [(one.recipe.prompt, one.recipe.seed) for one in drawn] == [
        ("cat", 0),
        ("cat", 1),
        ("dog", 0),
        ("dog", 1),
    ]
    (alone,) = draw("dog", pipeline=pipeline, steps=1)
    assert alone.png == drawn[2].png
    assert alone.attention_png is None
    assert drawn[2].attention_png is not None
    assert drawn[2].attention_png.startswith(b"\x89PNG")


def test_a_picture_is_drawn_again_from_its_file_or_bytes(
    pipeline: Pipeline, image: Path, tmp_path: Path
) -> None:
    (picture,) = draw("red apple", pipeline=pipeline, steps=2, image=image.read_bytes(), strength=0.5)
    picture.save(tmp_path / "p.png")
    for file in (picture.png, tmp_path / "p.png"):
        again = replay(file, pipeline=pipeline, image=image)
        assert again.same
        assert again.file == picture.png
        assert again.picture.recipe == picture.recipe
    with pytest.raises(InputError, match="the picture was drawn with image=") as caught:
        replay(picture.png, pipeline=pipeline)
    assert caught.value.code == "replay_file_missing"
    with pytest.raises(InputError, match="was drawn without mask=") as caught:
        replay(tmp_path / "p.png", pipeline=pipeline, image=image, mask=image)
    assert caught.value.code == "replay_file_unused"


def _calls(pipeline: Pipeline, image: Path) -> Iterator[tuple[type[Exception], str, dict[str, object]]]:
    yield RecipeError, "prompt_empty", {"prompt": " "}
    yield RecipeError, "steps_range", {"steps": 0}
    yield RecipeError, "count_range", {"n": 0}
    yield RecipeError, "mask_without_image", {"mask": image}
    yield RecipeError, "strength_without_image", {"strength": 0.5}
    yield RecipeError, "strength_range", {"strength": 2.0, "image": image}
    yield PictureError, "image_format", {"image": b"GIF89a"}
    yield AdapterError, "adapter_missing", {"adapter": "none.safetensors"}
    yield ConfigError, "", {"size": "large"}
    yield InputError, "input_missing", {"image": "none.png"}


def test_what_cannot_be_drawn_is_refused_by_its_error(pipeline: Pipeline, image: Path) -> None:
    calls = list(_calls(pipeline, image))
    assert calls
    for error_type, code, fields in calls:
        with pytest.raises(error_type) as caught:
            draw(**{"prompt": "cat", "pipeline": pipeline, **fields})  # type: ignore[arg-type]
        assert getattr(caught.value, "code", "").startswith(code)


def test_all_but_the_prompt_is_checked_once(pipeline: Pipeline) -> None:
    inputs = prepare(pipeline, Recipe("", steps=2))
    assert (inputs.recipe.width, inputs.recipe.height) == pipeline.own_size
    assert inputs.complete("cat") == pipeline.resolve(replace(inputs.recipe, prompt="cat"))
    with pytest.raises(RecipeError, match="the prompt is empty"):
        inputs.complete("")
    with pytest.raises(RecipeError, match="guidance is 31"):
        prepare(pipeline, Recipe("", guidance=31))


def test_a_fault_of_one_picture_is_raised(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(pictures, "png_bytes", breaks)
    with pytest.raises(ZeroDivisionError):
        draw("cat", pipeline=pipeline, steps=1)
