"""Routes of OpenAI's images API."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from apps.imagegen.report.recipe_files import file_bytes
from apps.imagegen.report.transparent import on_transparent
from apps.imagegen.service import openai_forms as forms
from apps.imagegen.service.bodies import form_body, json_body
from apps.imagegen.service.failures import failure_of
from apps.imagegen.service.forms import Upload
from apps.imagegen.service.generation import GenerationService
from apps.imagegen.service.kept import Draw, KeptRequests
from apps.imagegen.service.kept_routes import HEADER, answer_kept
from apps.imagegen.service.reasons import FIELD, KEPT, OPENAI
from apps.imagegen.service.request import GenerationRequest, note_headers
from core.serving.errors import json_response
from core.serving.events import event_stream, run_until_disconnect
from core.serving.forms import shown
from core.serving.reasons import FORMS
from core.serving.statuses import statuses

_SCHEMA = forms.OpenAIForm.model_json_schema()
_DRAWN = statuses(404, 409, 422, 429, 507, media_types=("application/json", "text/event-stream"))
_FILE = {"type": "string", "format": "binary"}
_EDIT_SCHEMA = {**_SCHEMA, "properties": {"image": _FILE, "mask": _FILE, **_SCHEMA["properties"]}}


def openai_routes(service: GenerationService, kept: KeptRequests) -> APIRouter:
    """Return /v1/images/generations, /v1/images/edits and /v1/models.

    kept: takes the generations that come with an Idempotency-Key.
    """
    routes = APIRouter(prefix="/v1")

    @routes.post("/images/generations", responses=_DRAWN, openapi_extra=_body("application/json", _SCHEMA))
    async def generations(request: Request) -> Response:
        if HEADER in request.headers:
            return await answer_kept(service, kept, request, await json_body(request))
        return await _answer(service, request, await json_body(request), Upload(), kind=forms.GENERATION)

    @routes.post("/images/edits", responses=_DRAWN, openapi_extra=_body("multipart/form-data", _EDIT_SCHEMA))
    async def edits(request: Request) -> Response:
        if HEADER in request.headers:
            raise KEPT("idempotency_key_unsupported")
        values, files = await form_body(request, ("image", "mask"))
        if "image" not in files:
            raise FORMS("field_missing", param="image")
        upload = Upload(files["image"], files.get("mask"))
        return await _answer(service, request, values, upload, kind=forms.EDIT)

    @routes.post("/images/variations", status_code=400, responses=statuses(ok=400))
    async def variations() -> Response:
        """Refused: a variation is an edit with a prompt."""
        raise OPENAI("variations_not_offered")

    @routes.get("/models", responses=statuses())
    async def models() -> Response:
        return json_response({"object": "list", "data": [_entry(service)]})

    @routes.get("/models/{name}", responses=statuses(404))
    async def model(name: str) -> Response:
        if name != service.pipeline.name:
            raise FIELD("model_not_found", param="model", name=shown(name), served=service.pipeline.name)
        return json_response(_entry(service))

    return routes


async def _answer(
    service: GenerationService, request: Request, values: dict[str, Any], upload: Upload, *, kind: str
) -> Response:
    recipe, n, answer = forms.read_request(
        values,
        upload,
        model=service.pipeline.name,
        defaults=service.settings.defaults,
        strict=kind == forms.GENERATION,
    )
    drawing = await service.draw(recipe, n, replace(upload, fit=values.get("fit")), answer.previews)
    if answer.stream:
        headers = note_headers([*answer.notes, *drawing.notes])
        return event_stream(_stream(drawing, answer, kind), request, on_end=drawing.release, headers=headers)
    try:
        drawn = await run_until_disconnect(request, _all(drawing, answer))
    finally:
        drawing.release()
    reply = forms.images_reply(drawn, answer, int(time.time()), drawing.notes)
    return json_response(reply, headers=note_headers(reply.get("notes", ())))


def drawing_of(service: GenerationService) -> Draw:
    """Return what draws a kept generation, for `KeptRequests`."""

    async def draw(
        values: dict[str, Any], created: int, on_done: Callable[[int, int], None]
    ) -> dict[str, Any]:
        recipe, n, answer = forms.read_request(
            values, Upload(), model=service.pipeline.name, defaults=service.settings.defaults
        )
        drawing = await service.draw(recipe, n, Upload(), 0)
        try:
            drawn = await _all(drawing, answer, on_done)
        finally:
            drawing.release()
        return forms.images_reply(drawn, answer, created, drawing.notes)

    return draw


async def _all(
    drawing: GenerationRequest, answer: forms.Answer, on_done: Callable[[int, int], None] = lambda *_: None
) -> list[forms.ImageFile]:
    drawn: list[forms.ImageFile | None] = [None] * len(drawing.recipes)
    async for index, event in drawing.events():
        if event.kind in ("failed", "cancelled"):
            raise failure_of(event.error)
        if event.kind == "done":
            assert event.rgb_HWC is not None
            drawn[index] = await asyncio.to_thread(_finished, drawing, index, event.rgb_HWC, answer)
            on_done(sum(one is not None for one in drawn), len(drawn))
    return [one for one in drawn if one is not None]


async def _stream(
    drawing: GenerationRequest, answer: forms.Answer, kind: str
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    numbers = [0] * len(drawing.recipes)
    async for index, event in drawing.events():
        if event.kind in ("failed", "cancelled"):
            raise failure_of(event.error)
        if event.kind not in ("preview", "done"):
            continue
        assert event.rgb_HWC is not None
        recipe, created = drawing.recipes[index], int(time.time())
        if event.kind == "done":
            picture = await asyncio.to_thread(_finished, drawing, index, event.rgb_HWC, answer)
            yield forms.completed_event(kind, picture, answer, created, index, drawing.notes)
        else:
            data = await asyncio.to_thread(_unfinished, event.rgb_HWC, answer)
            yield forms.partial_event(kind, data, recipe, answer, created, numbers[index], index)
            numbers[index] += 1


def _finished(
    drawing: GenerationRequest, index: int, rgb_HWC: np.ndarray, answer: forms.Answer
) -> forms.ImageFile:
    """Return a finished picture as the file that was asked for, with its recipe inside."""
    clear_HWC = on_transparent(rgb_HWC) if answer.background == "transparent" else None
    data = file_bytes(
        rgb_HWC if clear_HWC is None else clear_HWC,
        drawing.recipes[index],
        drawing.recipe_notes,
        kind=answer.output_format.upper(),
        quality=max(1, answer.compression),
    )
    return forms.ImageFile(data, drawing.recipes[index], clear_HWC is not None)


def _unfinished(rgb_HWC: np.ndarray, answer: forms.Answer) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(
        stream, format=answer.output_format.upper(), quality=max(1, answer.compression)
    )
    return stream.getvalue()


def _entry(service: GenerationService) -> dict[str, Any]:
    pipeline = service.pipeline
    return forms.model_entry(
        pipeline.name, pipeline.digest, pipeline.limits, service.adapters.names(), service.created
    )


def _body(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}
