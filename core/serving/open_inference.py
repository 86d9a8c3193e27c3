"""The Open Inference Protocol (V2) over HTTP, for exported networks.

https://github.com/kserve/open-inference-protocol; of the extensions, binary tensors and the index of the repository.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from core.runs.log import RunLog
from core.serving.access import needs
from core.serving.app import make_app
from core.serving.body import read_body
from core.serving.errors import json_response
from core.serving.events import run_until_disconnect
from core.serving.exported_folder import Exported
from core.serving.keys import READ, KeyRing
from core.serving.limits import serving_limits
from core.serving.metrics import Metrics
from core.serving.models_config import ModelsConfig
from core.serving.reasons import INFER, STATE
from core.serving.served_model import VERSION, ModelMetrics, ServedModel, close, start
from core.serving.service_error import ServiceError
from core.serving.statuses import statuses
from core.serving.tensors import read_index, read_request, written
from core.text.quoting import quoted

EXTENSIONS = ["binary_tensor_data", "model_repository"]
_JSON_BYTES = "Inference-Header-Content-Length"
_BYTES = "application/octet-stream"
_LIVE, _READY = "/v2/health/live", "/v2/health/ready"
_TICK_S = 0.05
_IS_READY = "READY"
_ERROR = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
}
_TENSOR = {"type": "object", "required": ["name", "shape", "datatype"]}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REQUEST},
            _BYTES: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


def build(
    exported: Sequence[Exported],
    config: ModelsConfig,
    log: RunLog | None = None,
    *,
    keys: KeyRing | None = None,
) -> tuple[FastAPI, Sequence[ServedModel]]:
    """Return the service, and its models, whose processes start and end with it."""
    metrics = Metrics()
    counts = ModelMetrics(metrics)
    models = {one.name: ServedModel(one, config, counts, log) for one in exported}

    def unready() -> str | None:
        reasons = ((name, model.pool.unready()) for name, model in models.items())
        return next((f"{name}: {reason}" for name, reason in reasons if reason is not None), None)

    async def begin() -> None:
        """Load the models, unless the service is told to end meanwhile."""
        loading = asyncio.create_task(start(list(models.values())))
        while not loading.done():
            await asyncio.wait({loading}, timeout=_TICK_S)
            if app.state.draining:
                loading.cancel()
        if not loading.cancelled():
            loading.result()

    async def end() -> None:
        await close(list(models.values()))

    app = make_app(
        "Triptych models",
        routes=[_routes(models, unready, int(config.serve.body_mb * 1e6))],
        ready=unready,
        metrics=metrics,
        limits=serving_limits(config.host, config.serve),
        keys=keys,
        open_paths=(_LIVE, _READY),
        error_body=error_body,
        error_schema=_ERROR,
        on_start=begin,
        on_stop=end,
        log=log,
    )
    return app, list(models.values())


def error_body(error: ServiceError) -> dict[str, Any]:
    """Return the JSON of an error: the protocol's sentence, and the stable code beside it."""
    return {"error": error.sentence, "code": error.code}


def _routes(models: Mapping[str, ServedModel], unready: Callable[[], str | None], most: int) -> APIRouter:
    routes = APIRouter()

    def asked(request: Request) -> ServedModel:
        name, wanted = request.path_params["model"], request.path_params.get("version", VERSION)
        if name not in models:
            raise INFER("infer_model_unknown", name=quoted(name))
        if wanted != VERSION:
            raise INFER("infer_version_unknown", model=name, version=quoted(wanted), known=VERSION)
        return models[name]

    @routes.get("/v2", responses=statuses())
    async def server() -> Response:
        return json_response({"name": "triptych", "version": _version(), "extensions": EXTENSIONS})

    @routes.get(_LIVE, responses=statuses())
    async def live() -> Response:
        return json_response({"live": True})

    @routes.get(_READY, responses=statuses())
    async def ready(request: Request) -> Response:
        reason = "it is shutting down" if request.app.state.draining else unready()
        if reason is not None:
            raise STATE("not_ready", reason=reason, headers={"Retry-After": "1"})
        return json_response({"ready": True})

    @routes.post("/v2/repository/index", responses=statuses(), openapi_extra=needs(READ))
    async def index(request: Request) -> Response:
        only_ready = read_index(await read_body(request, most))
        rows = [_indexed(model) for model in models.values()]
        return json_response([row for row in rows if row["state"] == _IS_READY or not only_ready])

    async def metadata(request: Request) -> Response:
        return json_response(asked(request).metadata)

    async def model_ready(request: Request) -> Response:
        model = asked(request)
        reason = model.pool.unready()
        if reason is not None:
            raise STATE("not_ready", reason=reason, headers={"Retry-After": "1"})
        return json_response({"name": model.name, "ready": True})

    async def infer(request: Request) -> Response:
        model = asked(request)
        ports = model.artifact
        body = await read_body(request, most)
        arrays, shapes, wanted = read_request(body, _json_bytes(request), ports.inputs, ports.outputs)
        outputs = await run_until_disconnect(request, model.infer(arrays, shapes))
        content, json_bytes = written(model.name, VERSION, outputs, wanted, ports.outputs)
        if json_bytes is None:
            return Response(content, media_type="application/json")
        return Response(content, media_type=_BYTES, headers={_JSON_BYTES: str(json_bytes)})

    own = {"model": list(models)}
    for path, values in (
        ("/v2/models/{model}", own),
        ("/v2/models/{model}/versions/{version}", {**own, "version": [VERSION]}),
    ):
        named = {"parameters": [_parameter(name, known) for name, known in values.items()]}
        for below, endpoint in (("", metadata), ("/ready", model_ready)):
            routes.add_api_route(f"{path}{below}", endpoint, responses=statuses(404), openapi_extra=named)
        routes.add_api_route(
            f"{path}/infer",
            infer,
            methods=["POST"],
            responses=statuses(404, 429, 504, media_types=("application/json", _BYTES)),
            openapi_extra={**named, **_BODY},
        )
    return routes


def _parameter(name: str, known: Sequence[str]) -> dict[str, Any]:
    """Describe a part of an address, which takes these values."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": known}}


def _indexed(model: ServedModel) -> dict[str, Any]:
    reason = model.pool.unready()
    return {
        "name": model.name,
        "version": VERSION,
        "state": _IS_READY if reason is None else "UNAVAILABLE",
        "reason": reason or "",
    }


def _json_bytes(request: Request) -> int | None:
    text = request.headers.get(_JSON_BYTES)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise INFER("infer_header_number")
    return int(text)


def _version() -> str:
    try:
        return version("triptych")
    except PackageNotFoundError:
        return "0"
