"""OpenAI's images API, as OpenAI's own client sees it."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.report.recipe_files import recipe_of as recipe_in_file
from apps.imagegen.report.recipe_png import recipe_of
from tests.apps.imagegen.served import Service, service, until

QUICK = {"steps": 3, "seed": 7}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("openai")) as serving:
        yield serving


@pytest.fixture
def client(running: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0) as result:
        yield result


def picture(data: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data or "")))


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def start_png(edge: int = 40) -> bytes:
    return png(np.full((edge, edge, 3), (200, 30, 30), np.uint8))


def mask_png(edge: int = 40) -> bytes:
    """The left half is transparent: there it is to be painted."""
    rgba = np.zeros((edge, edge, 4), np.uint8)
    rgba[:, edge // 2 :, 3] = 255
    return png(rgba)


def test_pictures_differ_by_their_seed_and_come_again(client: OpenAI) -> None:
    reply = client.images.generate(prompt="red apple", n=3, extra_body=QUICK)
    assert reply.data is not None
    recipes = [recipe_of(base64.b64decode(one.b64_json or "")) for one in reply.data]
    assert [recipe.seed for recipe in recipes] == [7, 8, 9]
    assert len({one.b64_json for one in reply.data}) == 3
    again = client.images.generate(prompt="red apple", extra_body={**QUICK, "seed": 8})
    assert again.data is not None
    assert again.data[0].b64_json == reply.data[1].b64_json
    assert (reply.model_extra or {})["seed"] == 7
    assert Recipe.from_json((reply.data[2].model_extra or {})["recipe"]) == recipes[2]


def test_a_seed_is_reported_where_none_was_given(client: OpenAI) -> None:
    reply = client.images.generate(prompt="red apple", extra_body={"steps": 2})
    seed = (reply.model_extra or {})["seed"]
    again = client.images.generate(prompt="red apple", extra_body={"steps": 2, "seed": seed})
    assert reply.data is not None
    assert again.data is not None
    assert reply.data[0].b64_json == again.data[0].b64_json


@pytest.mark.parametrize(("size", "wanted"), [("auto", (32, 32)), ("48x32", (48, 32)), ("32x48", (32, 48))])
def test_sizes(client: OpenAI, size: Any, wanted: tuple[int, int]) -> None:
    reply = client.images.generate(prompt="red apple", size=size, extra_body=QUICK)
    assert reply.data is not None
    assert picture(reply.data[0].b64_json).size == wanted
    assert reply.size == f"{wanted[0]}x{wanted[1]}"


@pytest.mark.parametrize(("kind", "name"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_other_formats(client: OpenAI, kind: Any, name: str) -> None:
    reply = client.images.generate(prompt="cat", output_format=kind, output_compression=80, extra_body=QUICK)
    assert reply.data is not None
    assert picture(reply.data[0].b64_json).format == name
    assert reply.output_format == kind
    recipe = recipe_in_file(base64.b64decode(reply.data[0].b64_json or ""))
    assert recipe.as_json() == (reply.data[0].model_extra or {})["recipe"]


def test_what_todays_clients_send_is_taken(client: OpenAI) -> None:
    reply = client.images.generate(
        prompt="cat",
        style="vivid",
        output_compression=100,
        background="transparent",
        extra_body={"steps": 2, "seed": -1},
    )
    result = reply.model_extra or {}
    assert result["seed"] >= 0
    assert result["notes"] == [
        "style is not used: describe the style in the prompt",
        "the background is not transparent: the picture was not drawn on white",
    ]
    assert reply.background == "opaque"
    refused = httpx.post(f"{client.base_url}images/variations", files={"image": start_png()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "variations_not_offered")
    assert "send the image to /v1/images/edits" in refused.json()["error"]["message"]


def test_a_prompt_beyond_what_the_encoder_reads_is_reported(client: OpenAI) -> None:
    long = "cat " * 300
    raw = client.images.with_raw_response.generate(prompt=long, extra_body={"steps": 1, "seed": 1})
    sentence = "the first 224 of 300 tokens of the prompt are used: the text encoder reads no more"
    reply = raw.parse()
    assert raw.headers["X-Notes"] == sentence
    assert (reply.model_extra or {})["notes"] == [sentence]
    assert reply.data is not None
    assert picture(reply.data[0].b64_json).info["Comment"] == sentence
    short = client.images.with_raw_response.generate(prompt="cat", extra_body={"steps": 1, "seed": 1})
    assert "X-Notes" not in short.headers
    plain = short.parse()
    assert plain.data is not None
    assert "Comment" not in picture(plain.data[0].b64_json).info


def test_a_stream_shows_real_partial_pictures_then_the_picture(client: OpenAI) -> None:
    extra = {"steps": 20, "seed": 7}
    with client.images.generate(prompt="cat", stream=True, partial_images=3, extra_body=extra) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 3 + [
        "image_generation.completed"
    ]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]  # type: ignore[union-attr]
    seen = [np.asarray(picture(event.b64_json).convert("RGB"), np.float64) for event in events]
    errors = [float(np.abs(one - seen[-1]).mean()) for one in seen]
    assert errors[0] > errors[1] > errors[2] > errors[3] == 0.0
    plain = client.images.generate(prompt="cat", extra_body=extra)
    assert plain.data is not None
    assert events[-1].b64_json == plain.data[0].b64_json


def test_a_stream_without_partial_pictures_is_one_event(client: OpenAI) -> None:
    with client.images.generate(prompt="cat", stream=True, n=2, extra_body=QUICK) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert {(event.model_extra or {})["image_index"] for event in events} == {0, 1}


def test_an_edit_starts_from_the_picture(client: OpenAI) -> None:
    near = client.images.edit(
        image=start_png(), prompt="cat", extra_body={**QUICK, "steps": 10, "strength": 0.1}
    )
    far = client.images.edit(
        image=start_png(), prompt="cat", extra_body={**QUICK, "steps": 10, "strength": 1.0}
    )
    assert near.data is not None
    assert far.data is not None
    assert near.data[0].b64_json != far.data[0].b64_json
    recipe = recipe_of(base64.b64decode(near.data[0].b64_json or ""))
    pixels = np.full((32, 32, 3), (200, 30, 30), np.uint8)
    assert recipe.image_sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert recipe.strength == 0.1


def test_a_mask_keeps_what_is_opaque(client: OpenAI) -> None:
    reply = client.images.edit(image=[start_png()], mask=mask_png(), prompt="cat", n=2, extra_body=QUICK)
    assert reply.data is not None
    assert len(reply.data) == 2
    seen = np.asarray(picture(reply.data[0].b64_json))
    assert (seen[:, 16:] == (200, 30, 30)).all()
    assert not (seen[:, :16] == (200, 30, 30)).all()


def test_an_edit_streams_too(client: OpenAI) -> None:
    with client.images.edit(
        image=start_png(),
        prompt="cat",
        stream=True,
        partial_images=1,
        extra_body={"steps": 12, "strength": 0.9},
    ) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]


def test_models_are_listed_with_what_they_offer(client: OpenAI, running: Service) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object) == ("tiny", "model")
    extra = model.model_extra or {}
    assert extra["sizes"] == ["32x32", "48x32", "32x48", "48x48"]
    assert extra["digest"] == running.generation.pipeline.digest
    assert client.models.retrieve("tiny") == model
    with pytest.raises(openai.NotFoundError, match='there is no model "gpt-image-2"; this service has tiny'):
        client.models.retrieve("gpt-image-2")


@pytest.mark.parametrize(
    ("request_", "code", "param", "sentence"),
    [
        ({"prompt": ""}, "prompt_empty", "prompt", "the prompt is empty: say what to draw"),
        (
            {"size": "512x512"},
            "size_unknown",
            "size",
            "size is 512x512; this model draws 32x32, 48x32, 32x48, 48x48",
        ),
        ({"n": 11}, "count_range", "n", "n is 11; 1 to 10 pictures are wanted"),
        (
            {"extra_body": {"negative_prompt": "\x00"}},
            "prompt_unreadable",
            "negative_prompt",
            "the negative has U+0000 at position 1, a character that is not text: leave it out",
        ),
        (
            {"extra_body": {"adapter": "../secret"}},
            "adapter_unknown",
            "adapter",
            "there is no adapter '../secret'; there are: none here",
        ),
    ],
)
def test_bad_requests_are_bad_request_errors(
    client: OpenAI, request_: dict[str, Any], code: str, param: str, sentence: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"prompt": "cat", **request_})
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        code,
        param,
        "invalid_request_error",
    )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] == sentence
    assert client.images.generate(prompt="cat", extra_body=QUICK).data


def test_another_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="cat", model="dall-e-3")
    assert caught.value.code == "model_not_found"


def test_two_pictures_or_a_mask_of_another_size_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="image is given twice; one file is taken"):
        client.images.edit(image=[start_png(), start_png()], prompt="cat")
    with pytest.raises(
        openai.BadRequestError, match="the mask has 20x20 pixels, and the image 40x40"
    ) as caught:
        client.images.edit(image=start_png(), mask=mask_png(20), prompt="cat")
    assert (caught.value.code, caught.value.param) == ("mask_size", "mask")
    with pytest.raises(openai.BadRequestError, match="the image is not a PNG, JPEG or WebP"):
        client.images.edit(image=b"GIF89a", prompt="cat")


def test_a_full_queue_is_a_rate_limit_error(tmp_path: Any) -> None:
    slow: dict[str, Any] = {
        "prompt": "cat",
        "n": 2,
        "stream": True,
        "size": "48x48",
        "extra_body": {"steps": 100},
    }
    with (
        service(tmp_path, waiting=2, rows=4) as running,
        OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0) as client,
        client.images.generate(**slow),
    ):
        until(lambda: running.generation.busy() == (2, 0), 10)
        with client.images.generate(**slow):
            until(lambda: running.generation.busy() == (2, 2), 10)
            with pytest.raises(openai.RateLimitError) as caught:
                client.images.generate(prompt="cat")
        assert (caught.value.code, caught.value.type) == ("queue_full", "rate_limit_error")
        assert int(caught.value.response.headers["Retry-After"]) >= 1
