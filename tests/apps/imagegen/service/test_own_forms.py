"""The own API's forms and events."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from apps.imagegen.data.recipe import Limits, Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.service import own_forms as forms
from apps.imagegen.service.forms import Defaults, Upload
from core.serving.service_error import ServiceError

LIMITS = Limits(sizes=((128, 128),), schedulers=("ddim",))
RECIPE = Recipe(prompt="cat", seed=2**60, width=128, height=128)


def test_a_request_says_how_many_previews_it_wants() -> None:
    values = {"prompt": "cat", "seed": 1, "n": 2, "previews": 9, "keep": 20.0}
    recipe, n, previews, keep_s = forms.read_request(values, Upload(), defaults=Defaults())
    assert (recipe, n, previews, keep_s) == (Recipe(prompt="cat", seed=1), 2, 9, 20.0)


@pytest.mark.parametrize("previews", [-1, 21])
def test_previews_are_bounded(previews: int) -> None:
    with pytest.raises(ServiceError, match=f"previews is {previews}; it must be 0 to 20") as caught:
        forms.read_request({"prompt": "a", "previews": previews}, Upload(), defaults=Defaults())
    assert (caught.value.status, caught.value.param) == (400, "previews")


@pytest.mark.parametrize("keep", [-1.0, 61.0])
def test_a_drawing_is_not_kept_for_ever(keep: float) -> None:
    with pytest.raises(ServiceError, match=r"keep is -?\d+\.0; it must be 0 to 60 seconds") as caught:
        forms.read_request({"prompt": "a", "keep": keep}, Upload(), defaults=Defaults())
    assert (caught.value.status, caught.value.param) == (400, "keep")


@pytest.mark.parametrize(
    ("needs", "upload", "code", "sentence"),
    [
        (
            {"image_sha256": "a"},
            Upload(),
            "image_missing",
            "the recipe starts from a picture: give it too",
        ),
        (
            {"image_sha256": "a", "mask_sha256": "b"},
            Upload(b"i"),
            "mask_missing",
            "the recipe paints inside a mask: give it too",
        ),
        ({}, Upload(b"i"), "image_unwanted", "this picture was drawn without image: leave it out"),
        (
            {"image_sha256": "a"},
            Upload(b"i", b"m"),
            "mask_unwanted",
            "this picture was drawn without mask: leave it out",
        ),
    ],
)
def test_a_replay_needs_what_the_picture_was_drawn_from(
    needs: dict[str, Any], upload: Upload, code: str, sentence: str
) -> None:
    with pytest.raises((ServiceError, RecipeError)) as caught:
        forms.check_replay(Recipe(prompt="cat", **needs), upload)
    assert (caught.value.code, caught.value.sentence) == (code, sentence)
    assert caught.value.param == code.partition("_")[0]


def test_a_finished_picture_comes_with_recipe_digest_and_an_exact_seed() -> None:
    name, content = forms.done(1, b"png", RECIPE, 1.23456)
    assert name == "done"
    assert base64.b64decode(content["png"]) == b"png"
    assert content["sha256"] == hashlib.sha256(b"png").hexdigest()
    assert (content["image"], content["seed"], content["seconds"]) == (1, str(2**60), 1.235)
    assert Recipe.from_json(content["recipe"]) == RECIPE


def test_the_other_events() -> None:
    result = {"id": "id", "recipes": [RECIPE.as_json()], "notes": ["cut"]}
    assert forms.accepted("id", [RECIPE], ["cut"]) == ("accepted", result)
    assert forms.step(0, 3, 25) == ("step", {"image": 0, "step": 3, "steps": 25})
    assert forms.preview(0, 3, 25, b"1") == ("preview", {"image": 0, "step": 3, "steps": 25, "png": "MQ=="})
    assert forms.failed(2, "c", "s") == ("failed", {"image": 2, "code": "c", "message": "s"})
    assert forms.cancelled(2) == ("cancelled", {"image": 2})
    assert forms.end(4) == ("end", {"drawn": 4})


def test_the_model_tells_what_a_form_needs() -> None:
    info = forms.model_info("emoji", "ab", LIMITS, {"sketch": "cd"}, Defaults(pictures=6), 1000)
    assert info["sizes"] == ["128x128"]
    assert info["adapters"] == [{"name": "sketch", "digest": "cd"}]
    assert info["limits"] == {
        "pictures": 6,
        "prompt_chars": 2000,
        "text_chunks": 1,
        "steps": [1, 1000],
        "guidance": [0.0, 30.0],
        "adapter_scale": [0.0, 4.0],
        "previews": 20,
        "upload_pixels": 1000,
    }
    assert info["defaults"] == {
        "steps": 25,
        "guidance": 4.0,
        "scheduler": "ddim",
        "strength": 0.7,
        "fit": "crop",
    }
