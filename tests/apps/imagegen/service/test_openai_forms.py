"""OpenAI's forms: what is taken, what is refused, and that replies validate as the official package's own types."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
    Model,
)
from openai.types.image_edit_params import ImageEditParamsBase
from openai.types.image_generate_params import ImageGenerateParamsBase

from apps.imagegen.data.recipe import Limits, Recipe
from apps.imagegen.service import openai_forms as forms
from apps.imagegen.service.forms import Defaults, Upload
from core.serving.service_error import ServiceError

LIMITS = Limits(sizes=((128, 128), (192, 128)), schedulers=("ddim",))
LINKS = "links are not offered, since no picture is kept here: response_format must be b64_json"
RECIPE = Recipe(prompt="cat", seed=8, width=192, height=128)


def request(values: dict[str, Any]) -> tuple[Recipe, int, forms.Answer]:
    return forms.read_request(values, Upload(), model="emoji", defaults=Defaults())


def answer(**values: Any) -> forms.Answer:
    return request({"prompt": "cat", **values})[2]


def refusal(**values: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        request({"prompt": "cat", **values})
    return caught.value


def test_each_field_of_the_official_package_is_taken_or_refused_knowingly() -> None:
    official = (
        set(ImageGenerateParamsBase.__annotations__) | set(ImageEditParamsBase.__annotations__) | {"stream"}
    )
    files = {"image", "mask"}
    assert len(official) > 20
    assert official - files - set(forms.OpenAIForm.model_fields) == set(forms._REFUSED)


def test_harmless_fields_change_nothing() -> None:
    plain, n, _ = request({"prompt": "cat", "seed": 1})
    full, m, result = request(
        {
            "prompt": "cat",
            "seed": 1,
            "model": "emoji",
            "moderation": "low",
            "background": "opaque",
            "quality": "auto",
            "user": "u-1",
            "response_format": "b64_json",
            "output_format": "png",
        }
    )
    assert (full, m) == (plain, n)
    assert result.safety_identifier == "u-1"


@pytest.mark.parametrize(
    ("quality", "steps"),
    [("low", 12), ("medium", 25), ("standard", 25), ("high", 50), ("hd", 50), ("auto", 33)],
)
def test_quality_means_steps(quality: str, steps: int) -> None:
    result, _, _ = forms.read_request(
        {"prompt": "cat", "quality": quality},
        Upload(),
        model="emoji",
        defaults=Defaults(steps=33),
    )
    assert result.steps == steps
    explicit, _, _ = request({"prompt": "cat", "quality": quality, "steps": 7})
    assert explicit.steps == 7


@pytest.mark.parametrize(
    ("values", "param", "sentence"),
    [
        ({"svg": {"model": "x"}}, "svg", "SVG is not offered: output_format is png, jpeg or webp"),
        ({"response_format": "url"}, "response_format", LINKS),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background",
            "JPEG has no transparent background: output_format must be png or webp",
        ),
        ({"style": "cubist"}, "style", 'style is "cubist"; it must be one of vivid, natural'),
        ({"partial_images": 2}, "partial_images", "partial_images need stream=true"),
        ({"stream": True, "partial_images": 4}, "partial_images", "partial_images is 4; it must be 0 to 3"),
        (
            {"output_format": "gif"},
            "output_format",
            'output_format is "gif"; it must be one of png, jpeg, webp',
        ),
        (
            {"quality": "max"},
            "quality",
            'quality is "max"; it must be one of auto, low, medium, high, standard, hd',
        ),
        (
            {"output_compression": -1},
            "output_compression",
            "output_compression is -1; it must be 0 to 100",
        ),
        (
            {"output_compression": 101, "output_format": "webp"},
            "output_compression",
            "output_compression is 101; it must be 0 to 100",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(values: dict[str, Any], param: str, sentence: str) -> None:
    error = refusal(**values)
    assert (error.status, error.param, error.sentence) == (400, param, sentence)


def test_what_is_left_out_is_said_and_png_takes_any_compression() -> None:
    assert answer(output_compression=100).notes == ()
    for style in ("vivid", "natural"):
        assert answer(style=style).notes == ("style is not used: describe the style in the prompt",)
    result = answer(style="vivid", input_fidelity="high", background="transparent")
    assert result.notes[1] == "input_fidelity is not used: there is no image to keep to"
    clear, paper = (forms.ImageFile(b"1", RECIPE, clear=one) for one in (True, False))
    reply = forms.images_reply([clear, paper], result, 9, ["cut"])
    assert reply["background"] == "opaque"
    assert reply["notes"] == [
        *result.notes, "cut", "the background is not transparent: the picture was not drawn on white",
    ]  # fmt: skip
    _, content = forms.completed_event(forms.GENERATION, clear, answer(background="transparent"), 9, 0)
    assert (content["background"], "notes" in content) == ("transparent", False)


@pytest.mark.parametrize(("mask", "strengths"), [(None, (0.7, 0.7, 0.35)), (b"m", (1.0, 1.0, 1.0))])
def test_input_fidelity_keeps_more_of_a_picture(mask: bytes | None, strengths: tuple[float, ...]) -> None:
    for fidelity, strength in zip((None, "low", "high"), strengths, strict=True):
        values = {"prompt": "cat", "input_fidelity": fidelity}
        recipe, _, result = forms.read_request(values, Upload(b"i", mask), model="emoji", defaults=Defaults())
        assert (recipe.strength, result.notes) == (strength, ())


def test_a_seed_of_minus_one_is_drawn_at_random() -> None:
    result = {request({"prompt": "cat", "seed": -1})[0].seed for _ in range(3)}
    assert len(result) == 3
    assert all(0 <= seed < 2**32 for seed in result)


def test_another_model_is_404_as_at_openai() -> None:
    error = refusal(model="gpt-image-2")
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert error.sentence == 'there is no model "gpt-image-2"; this service has emoji'


def test_a_reply_is_of_the_official_type() -> None:
    result = answer(output_format="webp", quality="hd", safety_identifier="s")
    reply = ImagesResponse.model_validate(
        forms.images_reply([forms.ImageFile(b"12", RECIPE)] * 2, result, 99), strict=True
    )
    assert (reply.created, reply.size, reply.quality, reply.output_format) == (99, "192x128", "high", "webp")
    assert reply.data is not None
    assert [base64.b64decode(one.b64_json or "") for one in reply.data] == [b"12", b"12"]
    extra = reply.model_extra or {}
    assert extra["seed"] == 8


@pytest.mark.parametrize(
    ("kind", "partial", "completed"),
    [
        (forms.GENERATION, ImageGenPartialImageEvent, ImageGenCompletedEvent),
        (forms.EDIT, ImageEditPartialImageEvent, ImageEditCompletedEvent),
    ],
)
def test_events_are_of_the_official_types(kind: str, partial: Any, completed: Any) -> None:
    result = answer(stream=True, partial_images=3)
    name, content = forms.partial_event(kind, b"1", RECIPE, result, 5, 2, 0)
    event = partial.model_validate(content, strict=True)
    assert (event.type, event.partial_image_index, event.size) == (name, 2, "192x128")
    name, content = forms.completed_event(kind, forms.ImageFile(b"1", RECIPE), result, 5, 0)
    event = completed.model_validate(content, strict=True)
    assert (event.type, event.usage.total_tokens) == (name, 0)


def test_a_model_is_of_the_official_type_and_lists_its_sizes() -> None:
    entry = Model.model_validate(forms.model_entry("emoji", "ab", LIMITS, ["sketch"], 7), strict=True)
    assert entry.id == "emoji"
    assert (entry.model_extra or {})["sizes"] == ["128x128", "192x128"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "server_error"), (503, "server_error")],
)
def test_errors_are_of_the_official_form(status: int, kind: str) -> None:
    body = forms.error_body(ServiceError(status, "c", "s", param="p"))
    assert body == {"error": {"message": "s", "type": kind, "param": "p", "code": "c"}}
