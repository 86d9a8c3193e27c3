from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.resolve import complete_recipe, sha256_of
from tests.apps.imagegen.tiny import tiny_pipeline

APPLE = Recipe("red apple")
RGB_HWC = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
PAINT_HW = RGB_HWC[:, :, 0] > 100


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


class OneAdapter:
    def digest(self, name: str) -> str:
        assert name == "clay"
        return "d" * 64

    def load(self, name: str, digest: str, scale: float) -> None:
        raise AssertionError("a recipe is resolved without its weights")

    @contextlib.contextmanager
    def use(self, name: str | None, scale: float, digest: str | None) -> Iterator[None]:
        yield


def test_a_recipe_names_the_bytes_of_its_pictures(pipeline: Pipeline) -> None:
    whole = complete_recipe(pipeline, None, replace(APPLE, strength=0.5), RGB_HWC, PAINT_HW)
    assert whole.image_sha256 == hashlib.sha256(RGB_HWC.tobytes()).hexdigest()
    assert whole.mask_sha256 == hashlib.sha256((PAINT_HW * np.uint8(255)).tobytes()).hexdigest()
    assert (whole.width, whole.height, whole.model) == (32, 32, pipeline.digest)
    assert complete_recipe(pipeline, None, whole, RGB_HWC, PAINT_HW) == whole
    assert sha256_of(RGB_HWC[:, ::-1][:, ::-1]) == whole.image_sha256, "however it lies in memory"
    assert sha256_of(None) is None


def test_a_recipe_names_its_adapters_file(pipeline: Pipeline) -> None:
    clay = replace(APPLE, adapter="clay")
    assert complete_recipe(pipeline, OneAdapter(), clay).adapter_digest == "d" * 64
    assert (
        complete_recipe(pipeline, OneAdapter(), replace(APPLE, adapter_digest="d" * 64)).adapter_digest
        is None
    )
    for adapters, recipe, code in (
        (None, clay, "adapters_absent"),
        (OneAdapter(), replace(clay, adapter_digest="e" * 64), "adapter_other"),
    ):
        with pytest.raises(RecipeError) as caught:
            complete_recipe(pipeline, adapters, recipe)
        assert (caught.value.code, caught.value.param) == (code, "adapter")


@pytest.mark.parametrize(
    ("fields", "pictures", "code", "param"),
    [
        ({"image_sha256": "0" * 64, "strength": 0.5}, {}, "image_missing", "image"),
        ({}, {"mask": PAINT_HW}, "image_missing", "image"),
        ({"mask_sha256": "0" * 64, "strength": 0.5}, {"image": RGB_HWC}, "mask_missing", "mask"),
        ({"image_sha256": "0" * 64, "strength": 0.5}, {"image": RGB_HWC}, "image_other", "image"),
        (
            {"mask_sha256": "0" * 64, "strength": 0.5},
            {"image": RGB_HWC, "mask": PAINT_HW},
            "image_other",
            "mask",
        ),
        ({}, {"image": RGB_HWC}, "strength_missing", "strength"),
        ({"strength": 0.5}, {}, "strength_without_image", "strength"),
        ({"strength": 0.5}, {"image": RGB_HWC[:16]}, "image_size", "image"),
        ({"strength": 0.5}, {"image": RGB_HWC, "mask": PAINT_HW[:16]}, "image_size", "mask"),
    ],
)
def test_pictures_that_do_not_belong_to_the_recipe_are_refused(
    pipeline: Pipeline, fields: dict[str, object], pictures: dict[str, np.ndarray], code: str, param: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        complete_recipe(pipeline, None, replace(APPLE, **fields), **pictures)
    assert (caught.value.code, caught.value.param) == (code, param)
