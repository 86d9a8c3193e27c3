"""Work that ends when its client leaves: plain answers, and streams of server-sent events.

Server-sent events are those of the HTML standard, section 9.2 (https://html.spec.whatwg.org/multipage/).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.serving.errors import Answers
from core.serving.reasons import LIMITS
from core.serving.service_error import CLIENT_GONE, ServiceError

T = TypeVar("T")


async def run_until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """Return what the work returns; cancel it, and wait for its end, as soon as the client has gone.

    The body must have been read. Raises ServiceError with status 499 where the client left; nobody reads it.
    """
    return await _until_gone(request.receive, work)


def event_stream(
    events: AsyncIterator[tuple[str, dict[str, Any]]],
    request: Request,
    *,
    heartbeat_s: float = 15.0,
    on_end: Callable[[], None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> StreamingResponse:
    """Return an answer that sends (name, data) pairs as they come; an empty name sends data alone.

    A comment every heartbeat_s seconds keeps proxies from closing a quiet stream. When the client leaves, the
    iterator is cancelled and closed at once. An error becomes a last event, "error", in the service's own form.
    on_end is called once after all that, also when no event was sent: give back there what the route took. headers:
    sent beside the stream's own.
    """
    return _EventStream(events, request, heartbeat_s, on_end, headers or {})


class _EventStream(StreamingResponse):
    """Owns its iterator from start to end; Starlette's leaves one that waits at a slow client to the collector."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[tuple[str, dict[str, Any]]],
        request: Request,
        heartbeat_s: float,
        on_end: Callable[[], None] | None,
        headers: Mapping[str, str],
    ) -> None:
        # X-Accel-Buffering: nginx would hold events back.
        own = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(iter(()), headers={**headers, **own}, media_type=self.media_type)
        self._events = events
        self._request = request
        self._heartbeat_s = heartbeat_s
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await _until_gone(receive, self._send(send))
        except ServiceError as error:
            if error.status != CLIENT_GONE:
                raise
        finally:
            if self._on_end is not None:
                self._on_end()

    async def _send(self, send: Send) -> None:
        async def chunk(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            await asyncio.sleep(0)  # neither a ready source nor a send to nobody gives the others a turn

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await chunk(b": stream\n\n")  # the client sees at once that it is connected
        beat = asyncio.create_task(self._beat(chunk))
        try:
            async for name, data in self._events:
                await chunk(frame(name, data))
        except Exception as error:
            if isinstance(error, ServiceError) and error.status == CLIENT_GONE:
                raise
            await chunk(self._error_frame(error))
        finally:
            beat.cancel()
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _beat(self, chunk: Callable[[bytes], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            await chunk(b": heartbeat\n\n")

    def _error_frame(self, error: Exception) -> bytes:
        request, answers = self._request, self._request.app.state.answers
        assert isinstance(answers, Answers)
        known = answers.error(error, request.method, request.url.path, request.scope["state"]["request_id"])
        return frame("error", answers.body(known))


def frame(name: str, data: dict[str, Any]) -> bytes:
    """Return one event as bytes; its JSON is a single ASCII line, so no value can break out of its event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, allow_nan=False)}\n\n".encode("ascii")


async def _until_gone(receive: Receive, work: Awaitable[T]) -> T:
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        left = not working.done()
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.wait({working, gone})
    if left:
        gone.result()  # a fault in reading is none of the client's
    if left and working.cancelled():
        raise LIMITS("client_gone")
    return working.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
