"""Routes of the scoring service: POST /v1/scores and GET /v1/model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from apps.risk.service.forms import CSV, JSON, MEDIA_TYPES, PARQUET, ROLES, Options, ScoreForm
from apps.risk.service.reasons import REQUEST
from core.serving.errors import json_response
from core.serving.events import run_until_disconnect
from core.serving.forms import media_type_of
from core.serving.messages import Message
from core.serving.statuses import statuses

_FIELDS = Options.model_json_schema()["properties"] | {name: {"type": "string"} for name in ROLES}
_BODY = {
    "parameters": [{"in": "query", "name": name, "schema": schema} for name, schema in _FIELDS.items()],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": ScoreForm.model_json_schema()},
            CSV: {"schema": {"type": "string"}},
            PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    },
}


def score_routes(
    ask: Callable[[Message], Awaitable[Message]], about: Callable[[], Mapping[str, Any]]
) -> APIRouter:
    """Return the routes. ask: the model in its process. about: what the model says of itself."""
    routes = APIRouter(prefix="/v1")

    @routes.post("/scores", responses=statuses(429, 504), openapi_extra=_BODY)
    async def scores(request: Request) -> Response:
        """Score a table: JSON with its options, or CSV or Parquet with options and roles in the address."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise REQUEST("body_encoded", encoding=encoding[:40])
        media_type = media_type_of(request.headers.get("content-type", ""), MEDIA_TYPES)
        body = np.frombuffer(await request.body(), dtype=np.uint8)
        content = {"media_type": media_type, "query": request.query_params.multi_items()}
        answer = await run_until_disconnect(request, ask(Message(content, {"body": body})))
        return Response(answer.arrays["answer"].tobytes(), media_type=JSON)

    @routes.get("/model", responses=statuses())
    async def model() -> Response:
        """Return what scores: its models, the last dates of their training, its columns, and those of the scores."""
        return json_response(about())

    return routes
