from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.imagegen.data.recipe import SEEDS, Limits, Recipe, check, seeds
from apps.imagegen.errors import RecipeError

LIMITS = Limits(sizes=((128, 128), (192, 128)), schedulers=("ddim", "euler"))
APPLE = Recipe("red apple")
FROM_PICTURE = replace(APPLE, image_sha256="0" * 64, strength=0.7)


def refused(recipe: Recipe, limits: Limits = LIMITS) -> tuple[str, str, str]:
    with pytest.raises(RecipeError) as caught:
        check(recipe, limits)
    return caught.value.code, caught.value.param, caught.value.sentence


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"width": 192, "height": 128},
        {"seed": SEEDS - 1, "steps": 1, "guidance": 0, "scheduler": "euler"},
        {"steps": 100, "guidance": 30, "adapter": "clay", "adapter_scale": 4},
        {"prompt": "p" * 2000, "negative": "n" * 2000},
        {"prompt": "苹果 👨‍👩‍👧 é\u0301 \u202eright to left\ttab\r\nnext line"},
        {"image_sha256": "0" * 64, "strength": 1.0},
    ],
)
def test_what_the_model_can_draw_passes(fields: dict[str, Any]) -> None:
    check(replace(APPLE, **fields), LIMITS)


@pytest.mark.parametrize(
    ("fields", "code", "param", "words"),
    [
        ({"prompt": ""}, "prompt_empty", "prompt", "say what to draw"),
        ({"prompt": " \t\n\u3000"}, "prompt_empty", "prompt", "say what to draw"),
        ({"prompt": "x" * 2001}, "prompt_too_long", "prompt", "has 2001 characters; at most 2000"),
        ({"negative": "x" * 10**6}, "prompt_too_long", "negative", "has 1000000 characters"),
        ({"prompt": "red\0apple"}, "prompt_unreadable", "prompt", "has U+0000 at position 4"),
        ({"prompt": "\x1b[2J"}, "prompt_unreadable", "prompt", "U+001B"),
        ({"prompt": "a\x85b"}, "prompt_unreadable", "prompt", "U+0085"),
        ({"negative": "\ud83d"}, "prompt_unreadable", "negative", "has U+D83D"),
        ({"prompt": 5}, "prompt_type", "prompt", "is a int; text is wanted"),
        ({"width": 100, "height": 128}, "size_unknown", "size", "100x128; this model draws 128x128, 192x128"),
        ({"width": -128, "height": -128}, "size_unknown", "size", "-128x-128"),
        ({"steps": 0}, "steps_range", "steps", "steps is 0; 1 to 100"),
        ({"steps": 10**6}, "steps_range", "steps", "1000000"),
        ({"steps": True}, "steps_range", "steps", "True"),
        ({"steps": 5.0}, "steps_range", "steps", "5.0"),
        ({"guidance": float("nan")}, "guidance_range", "guidance", "guidance is nan; 0 to 30"),
        ({"guidance": float("inf")}, "guidance_range", "guidance", "inf"),
        ({"guidance": -0.1}, "guidance_range", "guidance", "-0.1"),
        ({"guidance": "4"}, "guidance_range", "guidance", "'4'"),
        ({"scheduler": "plms"}, "scheduler_unknown", "scheduler", "'plms'; one of ddim, euler"),
        ({"scheduler": "x" * 10**6}, "scheduler_unknown", "scheduler", "x...; one of"),
        ({"seed": -1}, "seed_range", "seed", "-1"),
        ({"seed": SEEDS}, "seed_range", "seed", "9223372036854775808"),
        ({"seed": 10**5000}, "seed_range", "seed", "a number of more than 20 digits"),
        ({"adapter_scale": float("nan")}, "adapter_scale_range", "adapter_scale", "nan; 0 to 4"),
        ({"strength": 0.7}, "strength_without_image", "strength", "without an image"),
        ({"image_sha256": "0" * 64}, "strength_missing", "strength", "strength is missing"),
        ({"image_sha256": "0" * 64, "strength": 0.0}, "strength_range", "strength", "0.0; more than 0"),
        ({"image_sha256": "0" * 64, "strength": float("nan")}, "strength_range", "strength", "nan"),
    ],
)
def test_what_it_cannot_is_refused_by_field(
    fields: dict[str, Any], code: str, param: str, words: str
) -> None:
    result = refused(replace(APPLE, **fields))
    assert result[:2] == (code, param)
    assert words in result[2]
    assert len(result[2]) < 200
    assert result[2].isprintable()


@given(
    prompt=st.text(),
    steps=st.integers(),
    guidance=st.floats(),
    seed=st.integers(),
    strength=st.none() | st.floats(),
)
def test_no_recipe_makes_the_check_raise_anything_else(
    prompt: str, steps: int, guidance: float, seed: int, strength: float | None
) -> None:
    recipe = Recipe(prompt, steps=steps, guidance=guidance, seed=seed, strength=strength)
    with contextlib.suppress(RecipeError):  # the one error that may come
        check(recipe, LIMITS)
        assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_a_recipe_survives_json() -> None:
    whole = replace(
        FROM_PICTURE, mask_sha256="1" * 64, seed=SEEDS - 1, adapter="clay", adapter_digest="2" * 64
    )
    for recipe in (APPLE, whole):
        content = json.loads(json.dumps(recipe.as_json()))
        assert content["format"] == 1
        assert Recipe.from_json(content) == recipe
    back = Recipe.from_json({**APPLE.as_json(), "guidance": 4})
    assert isinstance(back.guidance, float), "4 and 4.0 are one number in JSON"


@pytest.mark.parametrize(
    ("content", "code", "param", "words"),
    [
        (None, "not_object", "format", "this is not a recipe"),
        ([], "not_object", "format", "this is not a recipe"),
        ({}, "not_object", "format", "this is not a recipe"),
        ({**APPLE.as_json(), "format": 2}, "format", "format", "of format 2, and format 1 is wanted"),
        ({**APPLE.as_json(), "format": True}, "format", "format", "of format True"),
        ({**APPLE.as_json(), "eta": 1}, "field_unknown", "eta", "an unknown field 'eta'"),
        (
            {k: v for k, v in APPLE.as_json().items() if k != "seed"},
            "field_missing",
            "seed",
            "lacks the field 'seed'",
        ),
        ({**APPLE.as_json(), "seed": "1"}, "field_type", "seed", "seed is a str, and int is wanted"),
        ({**APPLE.as_json(), "steps": True}, "field_type", "steps", "steps is a bool"),
        ({**APPLE.as_json(), "steps": 2.5}, "field_type", "steps", "steps is a float"),
        ({**APPLE.as_json(), "prompt": None}, "field_type", "prompt", "prompt is a NoneType"),
        (
            {**APPLE.as_json(), "guidance": float("inf")},
            "field_type",
            "guidance",
            "guidance is a float, and float is wanted",
        ),
        ({**APPLE.as_json(), "strength": "much"}, "field_type", "strength", "strength is a str"),
    ],
)
def test_other_json_is_no_recipe(content: object, code: str, param: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(content)
    assert (caught.value.code, caught.value.param) == (f"recipe_{code}", param)
    assert words in caught.value.sentence


def test_images_of_one_request_count_up_from_its_seed() -> None:
    result = seeds(replace(APPLE, seed=SEEDS - 2), 4)
    assert [one.seed for one in result] == [SEEDS - 2, SEEDS - 1, 0, 1]
    assert {replace(one, seed=0) for one in result} == {APPLE}


@pytest.mark.parametrize("n", [0, -1, 10**6, 2.0, True])
def test_a_count_out_of_range_is_refused(n: Any) -> None:
    with pytest.raises(RecipeError, match="1 to 10 pictures are wanted") as caught:
        seeds(APPLE, n, most=10)
    assert (caught.value.code, caught.value.param) == ("count_range", "n")
