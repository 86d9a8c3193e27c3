"""Routes of the service: a study to its findings, and what the detector is."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from apps.nodule.data.study_body import TYPES, media_type
from apps.nodule.report.study_answer import STATUS
from apps.nodule.service.answers import FORMS, Finally, answer, form_of
from apps.nodule.service.reasons import ANSWER
from apps.nodule.service.study_search import BODY, RESULTS
from apps.nodule.service.workspace import Workspace, receive_body
from core.errors import InputError
from core.serving.errors import json_response
from core.serving.events import run_until_disconnect
from core.serving.service_error import ServiceError
from core.serving.statuses import statuses

# Folder of a study, Content-Type → the rows of summary.csv.
Search = Callable[[str, str], Awaitable[list[dict[str, Any]]]]
_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": dict.fromkeys(TYPES, _FILE)}}


def study_routes(
    search: Search, describe: Callable[[], Mapping[str, Any]], workspace: Workspace
) -> APIRouter:
    """Return /v1/studies and /v1/model."""
    routes = APIRouter(prefix="/v1")

    @routes.post(
        "/studies",
        responses=statuses(406, 422, 429, 504, 507, media_types=FORMS),
        openapi_extra=_BODY,
    )
    async def studies(request: Request) -> Response:
        """Search every series of a DICOM study; nothing of it is kept."""
        form = form_of(request.headers.get("accept", ""))
        content_type = request.headers.get("content-type", "")
        if media_type(content_type) not in TYPES:
            raise ANSWER("study_type", types=", ".join(TYPES))
        with _statuses():
            folder = workspace.new()
            remove = partial(shutil.rmtree, folder, ignore_errors=True)
            try:
                await receive_body(request, folder / BODY)
                rows = await run_until_disconnect(request, search(str(folder), content_type))
                response = await asyncio.to_thread(answer, rows, folder / RESULTS, form)
            except BaseException:
                remove()
                raise
        return Finally(response, remove)

    @routes.get("/model", responses=statuses())
    async def model() -> Response:
        return json_response(describe())

    return routes


@contextlib.contextmanager
def _statuses() -> Iterator[None]:
    """Give refusals of a study the statuses that are theirs."""
    try:
        yield
    except InputError as error:
        if error.code not in STATUS:
            raise
        raise ServiceError(STATUS[error.code], error.code, error.sentence) from None
