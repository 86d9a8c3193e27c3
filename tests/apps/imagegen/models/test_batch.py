from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.batch import DenoisingState, padded, predict
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.schedulers import SCHEDULERS, new_scheduler
from core.errors import InternalFault
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NOISE_HWC = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
CORNER_HW = np.zeros((32, 32), dtype=bool)
CORNER_HW[:16, 8:] = True


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    ground = tmp_path_factory.mktemp("pipelines")
    return {"ours": tiny_pipeline(ground / "ours"), "sd15": tiny_sd15(ground / "sd15")}


@pytest.fixture(scope="module")
def pipelines(folders: dict[str, Path]) -> dict[str, Pipeline]:
    return {name: load_pipeline(folder) for name, folder in folders.items()}


def drawn(pipeline: Pipeline, recipe: Recipe, *pictures: np.ndarray) -> np.ndarray:
    """Draw one image alone."""
    drawing = begun(pipeline, recipe, *pictures)
    while drawing.done < drawing.steps:
        drawing.advance(predict(pipeline, [drawing], (4,))[0])
    return drawing.picture(pipeline)


def begun(pipeline: Pipeline, recipe: Recipe, *pictures: np.ndarray) -> DenoisingState:
    whole = pipeline.resolve(recipe)
    texts = [recipe.negative, recipe.prompt] if recipe.guidance > 1 else [recipe.prompt]
    return DenoisingState(pipeline, whole, pipeline.states(texts), *pictures)


def plain(
    folder: Path, pipeline_class: type, pipeline: Pipeline, recipe: Recipe, **pictures: object
) -> np.ndarray:
    """Draw the same with diffusers alone."""
    pipe = pipeline_class.from_pretrained(folder, safety_checker=None, local_files_only=True)
    pipe.scheduler = new_scheduler(recipe.scheduler, pipeline.scheduler_config)
    pipe.set_progress_bar_config(disable=True)
    result = pipe(
        recipe.prompt,
        negative_prompt=recipe.negative,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance,
        generator=torch.Generator().manual_seed(recipe.seed),
        output_type="np",
        **pictures,
    )
    return result.images[0] * 255


@pytest.mark.parametrize("model", ["ours", "sd15"])
@pytest.mark.parametrize(
    ("scheduler", "guidance", "negative"),
    [("ddim", 4.0, ""), ("euler_a", 3.0, "blue"), ("ddpm", 1.0, ""), ("unipc", 7.5, "red")],
)
def test_an_image_is_the_one_that_plain_diffusers_draws(
    folders: dict[str, Path],
    pipelines: dict[str, Pipeline],
    model: str,
    scheduler: str,
    guidance: float,
    negative: str,
) -> None:
    recipe = Recipe("red apple", negative, seed=7, steps=6, scheduler=scheduler, guidance=guidance)
    ours = drawn(pipelines[model], recipe)
    theirs = plain(folders[model], StableDiffusionPipeline, pipelines[model], recipe)
    assert ours.std() > 20, "there is something to compare"
    assert np.abs(ours - theirs).max() < 0.6, "half a grey level is rounding"


@pytest.mark.parametrize("strength", [0.4, 1.0])
@pytest.mark.parametrize("scheduler", ["ddim", "euler"])
def test_from_a_picture_it_is_the_one_of_plain_diffusers(
    folders: dict[str, Path], pipelines: dict[str, Pipeline], scheduler: str, strength: float
) -> None:
    recipe = Recipe(
        "red apple",
        seed=3,
        steps=5,
        scheduler=scheduler,
        guidance=2.0,
        strength=strength,
        image_sha256="0" * 64,
    )
    ours = drawn(pipelines["sd15"], recipe, NOISE_HWC)
    theirs = plain(
        folders["sd15"],
        StableDiffusionImg2ImgPipeline,
        pipelines["sd15"],
        recipe,
        image=Image.fromarray(NOISE_HWC),
        strength=strength,
    )
    assert np.abs(ours - theirs).max() < 0.6


@pytest.mark.parametrize("strength", [0.6, 1.0])
@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpmpp_2m"])
def test_painting_into_a_picture_is_as_in_plain_diffusers_and_leaves_the_rest_alone(
    folders: dict[str, Path], pipelines: dict[str, Pipeline], scheduler: str, strength: float
) -> None:
    recipe = Recipe(
        "red apple",
        seed=3,
        steps=5,
        scheduler=scheduler,
        guidance=2.0,
        strength=strength,
        image_sha256="0" * 64,
    )
    ours = drawn(pipelines["sd15"], recipe, NOISE_HWC, CORNER_HW)
    theirs = plain(
        folders["sd15"],
        StableDiffusionInpaintPipeline,
        pipelines["sd15"],
        recipe,
        image=Image.fromarray(NOISE_HWC),
        mask_image=Image.fromarray(CORNER_HW),
        height=32,
        width=32,
        strength=strength,
    )
    assert np.abs(ours - theirs)[CORNER_HW].max() < 0.6
    assert np.array_equal(ours[~CORNER_HW], NOISE_HWC[~CORNER_HW])
    assert not np.array_equal(ours[CORNER_HW], NOISE_HWC[CORNER_HW])


def test_a_single_painted_pixel_is_drawn(pipelines: dict[str, Pipeline]) -> None:
    mask_HW = np.zeros((32, 32), dtype=bool)
    mask_HW[13, 21] = True
    recipe = Recipe("red apple", steps=3, strength=1.0, image_sha256="0" * 64)
    result = drawn(pipelines["ours"], recipe, NOISE_HWC, mask_HW)
    assert (result != NOISE_HWC).any(axis=2).sum() <= 1
    assert not np.array_equal(result[13, 21], NOISE_HWC[13, 21])


@pytest.mark.parametrize(
    ("steps", "strength", "taken"), [(10, 0.7, 7), (10, 0.05, 1), (3, 0.5, 1), (10, 1.0, 10), (1, 0.2, 1)]
)
def test_strength_says_how_many_steps_are_left(
    pipelines: dict[str, Pipeline], steps: int, strength: float, taken: int
) -> None:
    recipe = Recipe("red apple", steps=steps, strength=strength, image_sha256="0" * 64)
    assert begun(pipelines["ours"], recipe, NOISE_HWC).steps == taken


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_rows_of_one_batch_never_see_each_other(pipelines: dict[str, Pipeline], scheduler: str) -> None:
    pipeline = pipelines["ours"]
    recipe = Recipe("red apple", seed=1, steps=3, scheduler=scheduler)
    alone = drawn(pipeline, recipe)
    others = [
        Recipe("blue car", seed=2, steps=3, guidance=1.0),
        Recipe("cat face", seed=3, steps=3, scheduler="ddpm"),
    ]
    drawings = [begun(pipeline, one) for one in (*others, recipe)]
    for _ in range(3):
        for drawing, result in zip(drawings, predict(pipeline, drawings, (4, 8, 16)), strict=True):
            drawing.advance(result)
    assert np.array_equal(drawings[-1].picture(pipeline), alone)
    assert not np.array_equal(drawings[0].picture(pipeline), alone)


def test_what_is_foreseen_comes_to_be_what_is_drawn(pipelines: dict[str, Pipeline]) -> None:
    pipeline = pipelines["ours"]
    for scheduler in SCHEDULERS:
        drawing = begun(pipeline, Recipe("red apple", steps=5, scheduler=scheduler))
        far = []
        for _ in range(5):
            drawing.advance(predict(pipeline, [drawing], (4,))[0])
            assert drawing.foreseen_1Lhw is not None
            far.append(drawing.foreseen_1Lhw.clone())
        assert torch.allclose(far[-1], drawing.latent_1Lhw, atol=0.05), scheduler


def test_numbers_that_are_none_make_no_picture(pipelines: dict[str, Pipeline]) -> None:
    drawing = begun(pipelines["ours"], Recipe("red apple", steps=1))
    with pytest.raises(InternalFault, match="the picture came out as no numbers") as caught:
        drawing.picture(pipelines["ours"], drawing.latent_1Lhw * float("nan"))
    assert caught.value.code == "picture_not_finite"


def test_batches_are_padded_to_the_least_size_that_holds_them() -> None:
    assert [padded(rows, (4, 8, 16)) for rows in (1, 4, 5, 8, 9, 16)] == [4, 4, 8, 8, 16, 16]
    assert padded(1, (16,)) == 16
