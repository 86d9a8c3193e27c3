"""The common parts of every service here: health, readiness, metrics, limits, errors, an access log, pages."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mimetypes
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import TriptychError
from core.runs.log import RunLog
from core.serving.access import Access, check_role, needs
from core.serving.errors import (
    Answers,
    ErrorBody,
    default_error_body,
    json_response,
    request_id,
)
from core.serving.keys import ADMIN, KeyRing
from core.serving.limits import Gate, ServingLimits
from core.serving.metrics import MEDIA_TYPE, UNMATCHED, Metrics, known_method
from core.serving.reasons import STATE
from core.serving.service_error import CLIENT_GONE, ServiceError
from core.serving.statuses import ERROR, real_statuses

Hook = Callable[[], Awaitable[None]]

# A page here loads nothing from elsewhere, and no other site may put it into a frame.
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_PROBES = ("/health/live", "/health/ready")
_METRICS = "/metrics"
_READ = ["GET", "HEAD"]


def make_app(
    title: str,
    *,
    routes: Sequence[APIRouter],
    ready: Callable[[], str | None],
    metrics: Metrics,
    limits: ServingLimits | None = None,
    keys: KeyRing | None = None,
    open_paths: Sequence[str] = (),
    error_body: ErrorBody = default_error_body,
    error_schema: Mapping[str, Any] = ERROR,
    on_start: Hook | None = None,
    on_stop: Hook | None = None,
    log: RunLog | None = None,
    pages: Path | None = None,
    page_headers: Mapping[str, str] = PAGE_HEADERS,
) -> FastAPI:
    """Return the service: the given routes, /health/live, /health/ready, /metrics, and the files of a folder.

    ready: None, or why not yet. keys: each request needs one of these; the two probes, pages, open_paths, and /metrics
    unless they guard it, need none. A route says by `openapi_extra=needs(role)` where it needs another role than
    reading or using. error_body: the JSON of an error, error_schema: its JSON schema. on_start, on_stop: before the
    first and after the last request; an error of theirs ends `serve`. log: gets a line for each request (method, route
    template, status, ms; no path, no query, no body). pages: each file in this folder is served by its name, index.html
    at "/"; they are read once, now. Routes must be `async def`, and wait for other threads by a future that these
    set: a thread that hangs in a `def` route or in asyncio.to_thread cannot be ended, and holds up the exit. They read
    and check their bodies themselves, and refuse with ServiceError or InputError.
    """
    answers = Answers(error_body, log)
    app = FastAPI(
        title=title,
        docs_url=None,  # these pages load their scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(on_start, on_stop),
        dependencies=[] if keys is None else [Depends(check_role)],
    )
    app.state.answers = answers
    app.state.asks_for_keys = keys is not None
    app.state.draining = False
    app.state.fault = None
    _add_errors(app, answers)
    site = {} if pages is None else _pages(pages)
    # The last one added is the outermost.
    if keys is not None:
        free = [*_PROBES, *open_paths, *([_METRICS] if keys.open_metrics else []), *site]
        app.add_middleware(Access, keys=keys, answers=answers, open_paths=free)
    limits = limits or ServingLimits()
    app.add_middleware(Gate, limits=limits, answers=answers)
    if limits.origins:
        _allow_origins(app, limits.origins)
    app.add_middleware(Observed, metrics=metrics, answers=answers)
    _add_health(app, ready, metrics)
    for router in routes:
        app.include_router(router)
    for path, file in site.items():
        app.add_api_route(path, _page(file, page_headers), methods=_READ, include_in_schema=False)
    app.openapi = real_statuses(app, keys=keys is not None, error=error_schema)  # type: ignore[method-assign]
    return app


class Observed:
    """Middleware that counts, times and logs every request, names it, and answers what nobody caught."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, answers: Answers) -> None:
        self._app = app
        self._metrics = metrics
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; an answer always has `X-Request-ID`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, request_id(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            # The grace period at shutdown has expired.
            error = STATE("shutting_down")
            exchange.broken = error.status
            await self._answer(error, scope, exchange)
            raise
        except Exception as error:
            known = self._answers.error(error, scope["method"], scope["path"], exchange.request_id)
            if exchange.status:
                exchange.broken = known.status
                raise  # the server then cuts the connection: the client must not take the half for the whole
            await self._answer(known, scope, exchange)
        finally:
            self._metrics.in_flight.dec()
            self._record(scope, exchange)

    async def _answer(self, error: ServiceError, scope: Scope, exchange: _Exchange) -> None:
        if not exchange.status:
            await self._answers.response(error)(scope, exchange.receive, exchange.send)

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        route = scope.get("route")
        template = getattr(route, "path_format", None) or getattr(route, "path", None) or UNMATCHED
        status = exchange.broken or (exchange.status if exchange.complete else CLIENT_GONE)
        self._metrics.request(scope["method"], template, status, seconds)
        if template in (*_PROBES, _METRICS) and status < 400:
            return
        key = scope["state"].get("key")
        self._answers.event(
            "request",
            request=exchange.request_id,
            method=known_method(scope["method"]),
            route=_as_word(template),
            status=status,
            ms=round(seconds * 1000, 3),
            key=None if key is None else key.name,
        )


def _as_word(template: str) -> str:
    """Return a route template as the log takes words: without braces."""
    return re.sub(r"[^\w./<>-]", "-", re.sub(r"\{(\w+)[^}]*\}", r"<\1>", template), flags=re.ASCII)[:200]


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self.started = time.perf_counter()
        self.status = 0
        self.broken = 0
        self.complete = False
        self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.gone = self.gone or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [(b"x-request-id", self.request_id.encode()), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message["headers"], *extra]}
        elif not message.get("more_body", False):
            self.complete = not self.gone
        await self._send(message)


def _lifespan(
    on_start: Hook | None, on_stop: Hook | None
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            if on_start is not None:
                await on_start()
            yield
            if on_stop is not None:
                await on_stop()
        except Exception as error:
            app.state.fault = error
            raise

    return lifespan


def _add_errors(app: FastAPI, answers: Answers) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        known = answers.error(error, request.method, request.url.path, request.state.request_id)
        return answers.response(known)

    for error_class in (TriptychError, HTTPException):
        app.add_exception_handler(error_class, answer)


def _allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins ask and read answers, refusals of the gate and of keys included.

    Headers that a page asks to send are all allowed, Authorization and X-API-Key among them: no cookie and no password
    of the browser goes along, so that a page sends only what it knows itself.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "X-Notes", "Retry-After"],
    )


def _add_health(app: FastAPI, ready: Callable[[], str | None], metrics: Metrics) -> None:
    async def live() -> Response:
        return json_response({"status": "live"})

    async def readiness() -> Response:
        reason = "it is shutting down" if app.state.draining else ready()
        if reason is not None:
            raise STATE("not_ready", reason=reason, headers={"Retry-After": "1"})
        return json_response({"status": "ready"})

    async def counts() -> Response:
        return Response(metrics.text(), media_type=MEDIA_TYPE)

    for path, endpoint in zip(_PROBES, (live, readiness), strict=True):
        app.add_api_route(path, endpoint, methods=_READ, include_in_schema=False)
    app.add_api_route(_METRICS, counts, methods=_READ, include_in_schema=False, openapi_extra=needs(ADMIN))


def _pages(folder: Path) -> dict[str, Path]:
    """Return path → file: each file gets a route of its own, so that a path that leads elsewhere has none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")
    return {"/" + file.relative_to(folder).as_posix().removesuffix("index.html"): file for file in files}


def _page(file: Path, headers: Mapping[str, str]) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    sent = {**headers, "ETag": tag, "Cache-Control": "no-cache"}

    async def page(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=sent)
        return Response(content, headers=sent, media_type=media_type)

    return page
