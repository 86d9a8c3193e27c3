"""Routes of OpenAI's images API."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from fastapi import APIRouter
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from apps.imagegen.data import openai_forms as forms
from apps.imagegen.data.bodies import form_body, json_body
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.data.requests import Upload
from apps.imagegen.report.recipe_png import png_bytes
from apps.imagegen.serve_studio import Studio, Work, failure_of
from core.serving.errors import ServiceError, json_response
from core.serving.events import event_stream, run_until_disconnect

_SCHEMA = forms.OpenAIForm.model_json_schema()
_FILE = {"type": "string", "format": "binary"}
_EDIT_SCHEMA = {**_SCHEMA, "properties": {"image": _FILE, "mask": _FILE, **_SCHEMA["properties"]}}


def openai_routes(studio: Studio) -> APIRouter:
    """Return /v1/images/generations, /v1/images/edits and /v1/models."""
    routes = APIRouter(prefix="/v1")

    @routes.post("/images/generations", openapi_extra=_body("application/json", _SCHEMA))
    async def generations(request: Request) -> Response:
        return await _answer(studio, request, await json_body(request), Upload(), kind=forms.GENERATION)

    @routes.post("/images/edits", openapi_extra=_body("multipart/form-data", _EDIT_SCHEMA))
    async def edits(request: Request) -> Response:
        values, files = await form_body(request, ("image", "mask"))
        if "image" not in files:
            raise ServiceError(
                400, "field_missing", "image is missing: an edit starts from a picture", param="image"
            )
        upload = Upload(files["image"], files.get("mask"))
        return await _answer(studio, request, values, upload, kind=forms.EDIT)

    @routes.get("/models")
    async def models() -> Response:
        return json_response({"object": "list", "data": [_entry(studio)]})

    @routes.get("/models/{name}")
    async def model(name: str) -> Response:
        if name != studio.pipeline.name:
            sentence = f"there is no such model; this service has {studio.pipeline.name}"
            raise ServiceError(404, "model_not_found", sentence, param="model")
        return json_response(_entry(studio))

    return routes


async def _answer(
    studio: Studio, request: Request, values: dict[str, Any], upload: Upload, *, kind: str
) -> Response:
    recipe, n, answer = forms.read_request(
        values,
        upload,
        model=studio.pipeline.name,
        limits=studio.pipeline.limits,
        defaults=studio.settings.defaults,
        strict=kind == forms.GENERATION,
    )
    work = await studio.draw(recipe, n, upload, answer.previews)
    if answer.stream:
        return event_stream(_stream(work, answer, kind), request, on_end=work.leave)
    try:
        drawn = await run_until_disconnect(request, _all(work, answer))
    finally:
        work.leave()
    return json_response(forms.images_reply(drawn, answer, int(time.time())))


async def _all(work: Work, answer: forms.Answer) -> list[forms.Drawn]:
    drawn: list[forms.Drawn | None] = [None] * len(work.recipes)
    async for index, event in work.events():
        if event.kind in ("failed", "cancelled"):
            raise failure_of(event.error)
        if event.kind == "done":
            assert event.rgb_HWC is not None
            data = await asyncio.to_thread(_file, event.rgb_HWC, work.recipes[index], answer)
            drawn[index] = forms.Drawn(data, work.recipes[index])
    return [one for one in drawn if one is not None]


async def _stream(work: Work, answer: forms.Answer, kind: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    numbers = [0] * len(work.recipes)
    async for index, event in work.events():
        if event.kind in ("failed", "cancelled"):
            raise failure_of(event.error)
        if event.kind not in ("preview", "done"):
            continue
        assert event.rgb_HWC is not None
        recipe, created = work.recipes[index], int(time.time())
        if event.kind == "done":
            data = await asyncio.to_thread(_file, event.rgb_HWC, recipe, answer)
            yield forms.completed_event(kind, forms.Drawn(data, recipe), answer, created, index)
        else:
            data = await asyncio.to_thread(_file, event.rgb_HWC, None, answer)
            yield forms.partial_event(kind, data, recipe, answer, created, numbers[index], index)
            numbers[index] += 1


def _file(rgb_HWC: np.ndarray, recipe: Recipe | None, answer: forms.Answer) -> bytes:
    """Return a picture as the file that was asked for; a PNG carries its recipe, once there is one to carry."""
    if answer.output_format == "png" and recipe is not None:
        return png_bytes(rgb_HWC, recipe)
    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(
        stream, format=answer.output_format.upper(), quality=max(1, answer.compression)
    )
    return stream.getvalue()


def _entry(studio: Studio) -> dict[str, Any]:
    pipeline = studio.pipeline
    return forms.model_entry(
        pipeline.name, pipeline.digest, pipeline.limits, studio.shelf.names(), studio.created
    )


def _body(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}
