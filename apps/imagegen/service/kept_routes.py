"""HTTP for kept requests: the header Idempotency-Key, and the state, answer and end of what was accepted.

Source: the IETF draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header), and RFC 7240
for `Prefer: respond-async`. Where the draft has 409 for a retry while the first request is processed, a retry whose
first client has gone, or whose service was started anew, waits for the answer instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from apps.imagegen.service import openai_forms as forms
from apps.imagegen.service.forms import Upload
from apps.imagegen.service.generation import GenerationService
from apps.imagegen.service.kept import KeptRequests
from apps.imagegen.service.reasons import KEPT
from apps.imagegen.service.request import note_headers
from core.serving.access import needs
from core.serving.errors import json_response
from core.serving.events import run_until_disconnect
from core.serving.keys import USE
from core.serving.service_error import ServiceError
from core.serving.statuses import statuses

if TYPE_CHECKING:
    from core.jobs.queue import Job

HEADER = "idempotency-key"
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a string of RFC 8941
_BARE = re.compile(r"[!#-~][!-~]*")
_LATER = {"Retry-After": "1"}


def kept_routes(kept: KeptRequests) -> APIRouter:
    """Return /v1/images/jobs/{id} and /v1/images/jobs/{id}/result."""
    routes = APIRouter(prefix="/v1/images/jobs")

    @routes.get("/{identity}", responses=statuses(404))
    async def state(identity: str) -> Response:
        return json_response(_state(kept, await asyncio.to_thread(kept.find, identity)))

    @routes.get("/{identity}/result", responses=statuses(404, 409), openapi_extra=needs(USE))
    async def result(identity: str) -> Response:
        """Return the answer of a request that is drawn."""
        one = await asyncio.to_thread(kept.find, identity)
        kept.raise_failure(one)
        if not kept.path(one).exists():
            raise KEPT("kept_not_done", state=one.state, headers=_LATER)
        return _reply(await kept.answer(one), one)

    @routes.delete("/{identity}", status_code=204, responses=statuses(404, 409, ok=204, media_types=()))
    async def cancel(identity: str) -> Response:
        await asyncio.to_thread(kept.cancel, identity)
        return Response(status_code=204)

    return routes


async def answer_kept(
    service: GenerationService, kept: KeptRequests, request: Request, body: dict[str, Any]
) -> Response:
    """Keep a generation and answer it: 202 at once where the client prefers that, else once it is drawn.

    Raises ServiceError: 400 for the key or a field, 409 while another client waits with this key, 422 for a key of
    another request, and as `KeptRequests.accept` does.
    """
    key = f"{_owner_of(request)}\n{key_of(request.headers)}"
    recipe, n, answer = forms.read_request(
        body, Upload(), model=service.pipeline.name, defaults=service.settings.defaults
    )
    if answer.stream:
        raise KEPT("idempotency_key_stream", param="stream")
    drawn = {
        "seed": recipe.seed,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "scheduler": recipe.scheduler,
    }
    await asyncio.to_thread(service.check, recipe, n)
    one, new = await asyncio.to_thread(kept.accept, key, body, {**body, **drawn})
    if "respond-async" in request.headers.get("prefer", "").lower().replace(" ", "").split(","):
        headers = {**_LATER, **_location(one), "Preference-Applied": "respond-async"}
        return json_response(_state(kept, one), 202, headers)
    if not new and one.id in kept.attended:
        raise KEPT("idempotency_key_in_use", headers={**_LATER, **_location(one)})
    kept.attended.add(one.id)
    try:
        return _reply(await run_until_disconnect(request, kept.answer(one)), one)
    finally:
        kept.attended.discard(one.id)


def key_of(headers: Mapping[str, str]) -> str:
    """Return the key of a request. Raises ServiceError idempotency_key_format."""
    text = headers[HEADER].strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not (0 < len(key) <= 255) or (quoted is None and not _BARE.fullmatch(key)):
        raise KEPT("idempotency_key_format")
    return key


def _owner_of(request: Request) -> str:
    """Return whose key it is: of an API key by its name, else of what a proxy's password or the like says."""
    key = request.scope["state"].get("key")
    if key is not None:
        return str(key.name)
    return hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()


def _state(kept: KeptRequests, one: Job) -> dict[str, Any]:
    drawn = kept.path(one).exists()
    content: dict[str, Any] = {
        "id": one.id,
        "object": "image.job",
        "status": "done" if drawn else str(one.state),
        "created": (one.arguments or {}).get("created"),
        "progress": None if one.progress is None else {"done": one.progress[0], "total": one.progress[1]},
        "result": f"/v1/images/jobs/{one.id}/result" if drawn else None,
    }
    try:
        kept.raise_failure(one)
    except ServiceError as error:
        content |= forms.error_body(error)
    return content


def _reply(data: bytes, one: Job) -> Response:
    notes = json.loads(data).get("notes", ())
    headers = {**note_headers(notes), **_location(one)}
    return Response(data, headers=headers, media_type="application/json")


def _location(one: Job) -> dict[str, str]:
    return {"Location": f"/v1/images/jobs/{one.id}"}
