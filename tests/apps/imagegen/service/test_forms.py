"""Fields of a request: types, defaults, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.service.forms import (
    RANDOM_SEEDS,
    Defaults,
    DrawingForm,
    Upload,
    recipe_of_form,
)
from core.serving.forms import read_form
from core.serving.service_error import ServiceError

DEFAULTS = Defaults(steps=20, guidance=3.5, scheduler="euler", strength=0.6, pictures=10)


def recipe(values: dict[str, Any], upload: Upload = Upload()) -> Recipe:  # noqa: B008
    return recipe_of_form(read_form(DrawingForm, values), DEFAULTS, upload)


def refusal(values: dict[str, Any], upload: Upload = Upload()) -> ServiceError:  # noqa: B008
    with pytest.raises(ServiceError) as caught:
        recipe(values, upload)
    return caught.value


def test_what_is_left_out_or_null_takes_the_default() -> None:
    result = recipe({"prompt": "cat", "seed": 5, "steps": None, "scheduler": None})
    assert result == Recipe(prompt="cat", seed=5, steps=20, guidance=3.5, scheduler="euler")


def test_every_field_arrives() -> None:
    values = {
        "prompt": "cat",
        "negative_prompt": "dog",
        "size": "192x128",
        "seed": 2**63 - 1,
        "steps": 7,
        "guidance": 2,
        "scheduler": "ddim",
        "adapter": "sketch",
        "adapter_scale": 0.5,
    }
    assert recipe(values) == Recipe(
        prompt="cat",
        negative="dog",
        width=192,
        height=128,
        seed=2**63 - 1,
        steps=7,
        guidance=2.0,
        scheduler="ddim",
        adapter="sketch",
        adapter_scale=0.5,
    )


def test_without_a_seed_each_request_gets_another() -> None:
    drawn = {recipe({"prompt": "cat"}).seed for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= seed < RANDOM_SEEDS for seed in drawn)


@pytest.mark.parametrize(
    ("upload", "given", "wanted"),
    [
        (Upload(b"x"), None, 0.6),
        (Upload(b"x", b"y"), None, 1.0),
        (Upload(b"x", b"y"), 0.3, 0.3),
        (Upload(), None, None),
    ],
)
def test_strength_belongs_to_a_picture(upload: Upload, given: float | None, wanted: float | None) -> None:
    assert recipe({"prompt": "cat", "strength": given}, upload).strength == wanted


def test_numbers_of_a_form_arrive_as_texts() -> None:
    form = read_form(DrawingForm, {"prompt": "7", "n": "3", "guidance": "2.5", "seed": "9"}, strict=False)
    assert (form.prompt, form.n, form.guidance, form.seed) == ("7", 3, 2.5, 9)


@pytest.mark.parametrize(
    ("values", "code", "param", "sentence"),
    [
        ({}, "field_missing", "prompt", "prompt is missing"),
        ({"prompt": 7}, "field_type", "prompt", "prompt is 7; it must be a text"),
        ({"prompt": "a", "n": "2"}, "field_type", "n", 'n is "2"; it must be a whole number'),
        ({"prompt": "a", "n": True}, "field_type", "n", "n is true; it must be a whole number"),
        ({"prompt": "a", "n": 1.5}, "field_type", "n", "n is 1.5; it must be a whole number"),
        (
            {"prompt": "a", "guidance": "high"},
            "field_type",
            "guidance",
            'guidance is "high"; it must be a number',
        ),
    ],
)
def test_a_refusal_names_the_field(values: dict[str, Any], code: str, param: str, sentence: str) -> None:
    error = refusal(values)
    assert (error.status, error.code, error.param, error.sentence) == (400, code, param, sentence)


def test_an_unknown_field_is_refused_by_name() -> None:
    error = refusal({"prompt": "a", "setps": 3})
    assert (error.status, error.code, error.param) == (400, "field_unknown", "setps")
    assert error.sentence.startswith('"setps" is not a valid field; the fields are prompt, n, size, ')


def test_a_field_without_a_readable_name_is_refused_too() -> None:
    assert refusal({"prompt": "a", "\ud800": 3}).sentence.startswith(
        '"\\ud800" is not a valid field; the fields are '
    )


@pytest.mark.parametrize(
    "size", ["0x0", "0x128", "-1x5", "128 x 128", "128×128", "huge", "", "9" * 9 + "x1", "１２８x128"]
)
def test_a_size_that_cannot_be_read_is_refused(size: str) -> None:
    error = refusal({"prompt": "a", "size": size})
    assert (error.status, error.code, error.param) == (400, "size_format", "size")
    assert error.sentence.endswith("; it must be auto, or WIDTHxHEIGHT in pixels")
