"""OpenAI's images API on the wire: requests, replies, stream events and errors, in its own names.

Source: the API reference of OpenAI's images endpoints as its Python package types them (openai 3.57,
`types/image_generate_params.py`, `types/image_edit_params.py`, `types/image_gen_stream_event.py`). Beyond it a
request may carry the fields of `DrawingForm` (`extra_body` in OpenAI's client), and a reply says recipe and seed.
What cannot be honoured is refused, or said in `notes` and the header X-Notes: a client that asks for an SVG or a link
shall not get something else without a word. The page docs/images/openai.md has a table of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from apps.imagegen.data.recipe import Limits, Recipe
from apps.imagegen.service.forms import Defaults, DrawingForm, Upload, recipe_of_form
from apps.imagegen.service.reasons import FIELD, OPENAI
from core.serving.forms import read_form, shown
from core.serving.service_error import ServiceError

GENERATION, EDIT = "image_generation", "image_edit"  # how the names of events begin
PARTIAL_IMAGES = 3  # the most that OpenAI's API allows
STEPS = {"low": 12, "medium": 25, "high": 50}  # denoising steps of a quality, where steps are not given
_FAITHFUL = 0.5  # of the usual strength, with input_fidelity=high: keeps more of a picture
_QUALITIES = {"standard": "medium", "hd": "high"}  # names of retired models
# Field → the code of its refusal.
_REFUSED = {
    "svg": "svg_not_offered",
    "frame_count": "animation_not_offered",
    "frame_duration_ms": "animation_not_offered",
    "complexity": "complexity_not_offered",
    "markup": "markup_not_offered",
}


class OpenAIForm(DrawingForm):
    """Fields of a generation or an edit; files of an edit come beside them."""

    model: str | None = None
    """Name of the one model served, or null; another name is answered with 404."""
    response_format: Literal["b64_json", "url"] = "b64_json"
    """b64_json; url is refused, since no image is kept."""
    output_format: Literal["png", "jpeg", "webp"] = "png"
    """Format of the file; each carries the recipe."""
    output_compression: int | None = None
    """Quality of JPEG and WebP, 0 to 100; accepted and without effect on PNG."""
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] = "auto"
    """12, 25 or 50 denoising steps for low, medium (standard) and high (hd), unless steps is given."""
    background: Literal["auto", "opaque", "transparent"] = "auto"
    """transparent: white around the drawing becomes transparent (PNG, WebP); noted where it is not drawn on white."""
    style: Literal["vivid", "natural"] | None = None
    """Accepted and not used, which is noted."""
    input_fidelity: Literal["high", "low"] | None = None
    """high: half the usual strength of a change; low: the usual one."""
    moderation: Literal["auto", "low"] = "auto"
    """Accepted and without effect: nothing is moderated."""
    stream: bool = False
    """Answer as server-sent events."""
    partial_images: int = 0
    """Partial images of each image, 0 to 3; needs stream=true."""
    user: str | None = None
    """An identifier of your user; returned as safety_identifier."""
    safety_identifier: str | None = None
    """The same; returned as it is."""


@dataclass(frozen=True)
class Answer:
    """How the pictures are to be returned. compression: quality of JPEG and WebP, 0..100. notes: what is not done."""

    stream: bool
    previews: int
    output_format: str
    compression: int
    quality: str
    background: str
    safety_identifier: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFile:
    """A finished picture: the bytes of its file, its recipe, and whether its background is transparent."""

    data: bytes
    recipe: Recipe
    clear: bool = False


def read_request(
    values: Mapping[str, Any],
    upload: Upload,
    *,
    model: str,
    defaults: Defaults,
    strict: bool = True,
) -> tuple[Recipe, int, Answer]:
    """Return the recipe of the first picture, how many are wanted, and how to answer.

    model: the one name that is served. Raises ServiceError: 404 for another model, else 400.
    """
    for field, code in _REFUSED.items():
        if values.get(field) is not None:
            raise OPENAI(code, param=field)
    form = read_form(OpenAIForm, values, strict=strict)
    if form.model not in (None, model):
        raise FIELD("model_not_found", param="model", name=shown(form.model), served=model)
    answer = _answer(form)
    defaults = _with_quality(defaults, form.quality)
    if form.input_fidelity is not None and upload.image is None:
        sentence = "input_fidelity is not used: there is no image to keep to"
        answer = replace(answer, notes=(*answer.notes, sentence))
    if form.input_fidelity == "high":
        defaults = replace(defaults, strength=defaults.strength * _FAITHFUL)
    recipe = recipe_of_form(form, defaults, upload)
    return recipe, form.n, answer


def images_reply(
    pictures: Sequence[ImageFile], answer: Answer, created: int, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the reply of a generation or an edit. created: Unix time in seconds.

    notes: sentences on what was not done as asked; the field is there only if there are any.
    """
    first = pictures[0].recipe
    reply: dict[str, Any] = {
        "created": created,
        "background": "transparent" if all(one.clear for one in pictures) else "opaque",
        "output_format": answer.output_format,
        "quality": answer.quality,
        "size": size_text(first),
        "seed": first.seed,
        "data": [{"b64_json": _base64(one.data), "recipe": one.recipe.as_json()} for one in pictures],
    }
    if answer.safety_identifier:
        reply["safety_identifier"] = answer.safety_identifier
    return reply | _notes([*answer.notes, *notes, *_opaque(pictures, answer)])


def partial_event(
    kind: str, data: bytes, recipe: Recipe, answer: Answer, created: int, number: int, index: int
) -> tuple[str, dict[str, Any]]:
    """Return name and content of the event of a partial picture: the `number`-th of picture `index`.

    kind: GENERATION or EDIT, also of `completed_event`.
    """
    name = f"{kind}.partial_image"
    return name, _event(name, data, recipe, answer, created, index) | {"partial_image_index": number}


def completed_event(
    kind: str, picture: ImageFile, answer: Answer, created: int, index: int, notes: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """Return name and content of the event of a finished picture. Nothing is billed: its usage is 0 tokens."""
    name = f"{kind}.completed"
    usage = {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    }
    content = _event(name, picture.data, picture.recipe, answer, created, index)
    content |= {"usage": usage, "seed": picture.recipe.seed, "recipe": picture.recipe.as_json()}
    if answer.safety_identifier:
        content["safety_identifier"] = answer.safety_identifier
    content["background"] = "transparent" if picture.clear else "opaque"
    return name, content | _notes([*answer.notes, *notes, *_opaque([picture], answer)])


def model_entry(
    name: str, digest: str, limits: Limits, adapters: Sequence[str], created: int
) -> dict[str, Any]:
    """Return a model as /v1/models lists it, with the sizes, schedulers and adapters that it offers."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "triptych",
        "digest": digest,
        "sizes": [f"{width}x{height}" for width, height in limits.sizes],
        "schedulers": list(limits.schedulers),
        "adapters": list(adapters),
    }


def error_body(error: ServiceError) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    if error.status == 429:
        kind = "rate_limit_error"
    else:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.sentence, "type": kind, "param": error.param, "code": error.code}}


def size_text(recipe: Recipe) -> str:
    """Return a recipe's size as the API writes it."""
    return f"{recipe.width}x{recipe.height}"


def _answer(form: OpenAIForm) -> Answer:
    if form.response_format == "url":
        raise OPENAI("url_not_offered", param="response_format")
    if form.background == "transparent" and form.output_format == "jpeg":
        raise OPENAI("background_format", param="background")
    # PNG loses nothing, whatever it says.
    compression = form.output_compression
    if compression is not None and not 0 <= compression <= 100:
        raise OPENAI("compression_range", param="output_compression", value=shown(compression))
    if not 0 <= form.partial_images <= PARTIAL_IMAGES:
        value = shown(form.partial_images)
        raise OPENAI("partial_images_range", param="partial_images", value=value, most=PARTIAL_IMAGES)
    if form.partial_images and not form.stream:
        raise OPENAI("partial_images_unstreamed", param="partial_images")
    quality = _QUALITIES.get(form.quality, form.quality)
    return Answer(
        stream=form.stream,
        previews=form.partial_images,
        output_format=form.output_format,
        compression=100 if compression is None else compression,
        quality="medium" if quality == "auto" else quality,
        background=form.background,
        safety_identifier=form.safety_identifier or form.user or None,
        notes=() if form.style is None else ("style is not used: describe the style in the prompt",),
    )


def _opaque(pictures: Sequence[ImageFile], answer: Answer) -> list[str]:
    """Return a sentence where a background that was to be transparent is not."""
    if answer.background != "transparent" or all(one.clear for one in pictures):
        return []
    return ["the background is not transparent: the picture was not drawn on white"]


def _notes(notes: Sequence[str]) -> dict[str, Any]:
    return {"notes": list(notes)} if notes else {}


def _with_quality(defaults: Defaults, quality: str) -> Defaults:
    if quality == "auto":
        return defaults
    return replace(defaults, steps=STEPS[_QUALITIES.get(quality, quality)])


def _event(
    name: str, data: bytes, recipe: Recipe, answer: Answer, created: int, index: int
) -> dict[str, Any]:
    return {
        "type": name,
        "b64_json": _base64(data),
        "background": answer.background,
        "created_at": created,
        "output_format": answer.output_format,
        "quality": answer.quality,
        "size": size_text(recipe),
        "image_index": index,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
