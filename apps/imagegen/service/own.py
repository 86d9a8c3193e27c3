"""Routes of the service's own API: the model, drawing with progress, cancelling, and replaying a picture."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from apps.imagegen.report.recipe_files import recipe_of
from apps.imagegen.service import own_forms as forms
from apps.imagegen.service.bodies import form_body, is_form, json_body
from apps.imagegen.service.failures import failure_of
from apps.imagegen.service.forms import Upload
from apps.imagegen.service.generation import GenerationService
from apps.imagegen.service.reasons import FIELD
from apps.imagegen.service.request import GenerationRequest, note_headers
from core.serving.access import needs
from core.serving.errors import json_response
from core.serving.events import event_stream
from core.serving.forms import read_form
from core.serving.keys import USE
from core.serving.reasons import FORMS
from core.serving.statuses import statuses

_REPLAY_PREVIEWS = 12
_STREAM = statuses(429, 507, media_types=("text/event-stream",))


def own_routes(service: GenerationService) -> APIRouter:
    """Return /api/model, /api/generate, /api/replay, /api/recipe and /api/work/{id}."""
    routes = APIRouter(prefix="/api")

    @routes.get("/model", responses=statuses())
    async def model() -> Response:
        return json_response(await asyncio.to_thread(_model, service))

    @routes.post("/generate", responses=_STREAM)
    async def generate(request: Request) -> Response:
        """Draw; the answer is a stream of events. JSON, or a form with the files image and mask."""
        values: dict[str, Any]
        form = is_form(request)
        if form:
            values, files = await form_body(request, ("image", "mask"))
            upload = Upload(files.get("image"), files.get("mask"))
        else:
            values, upload = await json_body(request), Upload()
        recipe, n, previews, keep_s = forms.read_request(
            values, upload, defaults=service.settings.defaults, strict=not form
        )
        drawing = await service.draw(recipe, n, replace(upload, fit=values.get("fit")), previews)
        drawing.keep_s = keep_s
        return _events(drawing, request)

    @routes.post("/replay", responses=_STREAM)
    async def replay(request: Request) -> Response:
        """Draw the picture of a file made here again; one that started from a picture needs image and mask too."""
        values, files = await form_body(request, ("picture", "image", "mask"))
        read_form(forms.ReplayForm, values, strict=False)
        recipe = await asyncio.to_thread(recipe_of, _given(files))
        upload = Upload(files.get("image"), files.get("mask"))
        forms.check_replay(recipe, upload)
        drawing = await service.draw(recipe, 1, upload, _REPLAY_PREVIEWS)
        return _events(drawing, request)

    @routes.post("/recipe", responses=statuses())
    async def recipe(request: Request) -> Response:
        """Return the recipe inside a PNG, JPEG or WebP."""
        values, files = await form_body(request, ("picture",))
        read_form(forms.ReplayForm, values, strict=False)
        inside = await asyncio.to_thread(recipe_of, _given(files))
        return json_response({"recipe": inside.as_json(), "seed": str(inside.seed)})

    @routes.get(
        "/work/{name}",
        responses=statuses(404, media_types=("text/event-stream",)),
        openapi_extra=needs(USE),  # the pictures are what its request was for
    )
    async def follow(request: Request, name: str) -> Response:
        """Take up the events of a drawing whose request said `keep`, from where it stands."""
        drawing = service.request(name)
        if drawing is None:
            raise FIELD("work_unknown")
        return _events(drawing, request)

    @routes.delete("/work/{name}", status_code=204, responses=statuses(404, ok=204, media_types=()))
    async def cancel(name: str) -> Response:
        """Cancel a drawing by the id that its stream began with."""
        if not service.cancel(name):
            raise FIELD("work_unknown")
        return Response(status_code=204)

    return routes


def _events(drawing: GenerationRequest, request: Request) -> Response:
    return event_stream(_stream(drawing), request, on_end=drawing.detach, headers=note_headers(drawing.notes))


async def _stream(drawing: GenerationRequest) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    drawn = 0
    yield forms.accepted(drawing.id, drawing.recipes, drawing.notes)
    async for index, event in drawing.events():
        if event.kind == "step":
            yield forms.step(index, event.step, event.steps)
        elif event.kind == "preview":
            assert event.rgb_HWC is not None
            png = await asyncio.to_thread(_plain_png, event.rgb_HWC)
            yield forms.preview(index, event.step, event.steps, png)
        elif event.kind == "done":
            assert event.rgb_HWC is not None
            png = await asyncio.to_thread(drawing.png, index, event.rgb_HWC)
            drawn += 1
            yield forms.done(index, png, drawing.recipes[index], event.seconds)
        elif event.kind == "cancelled":
            yield forms.cancelled(index)
        elif event.kind == "failed":
            error = failure_of(event.error)
            yield forms.failed(index, error.code, error.sentence)
    yield forms.end(drawn)


def _model(service: GenerationService) -> dict[str, Any]:
    pipeline, settings = service.pipeline, service.settings
    digests = {}
    for name in service.adapters.names():
        try:
            digests[name] = service.adapters.digest(name)
        except Exception:  # a file that cannot be used is not offered; asking for it says why
            continue
    return forms.model_info(
        pipeline.name,
        pipeline.digest,
        pipeline.limits,
        digests,
        settings.defaults,
        settings.pixels,
        pipeline.cautions,
    )


def _given(files: dict[str, bytes]) -> bytes:
    if "picture" not in files:
        raise FORMS("field_missing", param="picture")
    return files["picture"]


def _plain_png(rgb_HWC: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
