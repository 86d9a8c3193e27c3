"""A small service for tests, in a thread of this process or as a process of its own, and a client of plain bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response, StreamingResponse

from core.errors import InputError
from core.runs.outputs import output_error
from core.serving.app import make_app
from core.serving.events import event_stream, run_until_disconnect
from core.serving.metrics import Metrics
from core.serving.server import served

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 20.0  # nothing takes so long, even where other programs have the processor


class FieldMissing(InputError):
    """A refusal that names the field."""

    param = "what"


class Seen:
    """What the routes tell the tests."""

    def __init__(self) -> None:
        self.began = 0
        self.ended: list[str] = []

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        self.began += 1
        try:
            yield
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        else:
            self.ended.append("done")


def routes(seen: Seen) -> APIRouter:
    """Routes that answer, fail, wait and stream."""
    router = APIRouter()

    @router.get("/empty")
    async def empty() -> dict[str, Any]:
        return {}

    @router.post("/orders/{name}")
    async def order(name: str, request: Request) -> dict[str, Any]:
        content = await request.json()
        if "what" not in content:
            raise FieldMissing("field_missing", "what is missing")
        return {"name": name, **content}

    @router.post("/uploads")
    async def upload(request: Request) -> dict[str, Any]:
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            return {"bytes": len(await file.read()), "note": form["note"]}

    @router.get("/fault")
    async def fault(secret: str = "") -> None:
        raise ValueError(f"the message quotes {secret}")

    @router.get("/refused")
    async def refused(code: str) -> None:
        raise InputError(code, "a sentence")

    @router.get("/unwritten")
    async def unwritten() -> None:
        raise output_error(OSError(errno.ENOSPC, "full"), "some/folder")

    @router.get("/torn")
    async def torn() -> Response:
        async def halves() -> AsyncIterator[bytes]:
            yield b"half"
            raise ValueError("secret")

        return StreamingResponse(halves())

    @router.post("/wait")
    async def wait(request: Request, seconds: float = DEADLINE_S) -> dict[str, Any]:
        async def work() -> dict[str, Any]:
            with seen.working():
                await asyncio.sleep(seconds)
            return {"waited": seconds}

        return await run_until_disconnect(request, work())

    @router.get("/events")
    async def events(request: Request, number: int, pause: float = 0.0, fail: bool = False) -> Response:
        async def counted() -> AsyncIterator[tuple[str, dict[str, Any]]]:
            with seen.working():
                for i in range(number):
                    yield "count", {"i": i, "text": "a\n\nevent: b\u2028\ud800"}
                    await asyncio.sleep(pause)
                if fail:
                    raise ValueError("secret")
            yield "", {"end": True}

        return event_stream(counted(), request, heartbeat_s=0.05, on_end=lambda: seen.ended.append("end"))

    @router.get("/flood")
    async def flood(request: Request) -> Response:
        async def much() -> AsyncIterator[tuple[str, dict[str, Any]]]:
            with seen.working():
                while True:
                    yield "", {"text": "x" * 1_000_000}

        return event_stream(much(), request)

    return router


def make(seen: Seen | None = None, *more: APIRouter, **settings: Any) -> FastAPI:
    """The service with these routes."""
    given = {"ready": lambda: None, "metrics": Metrics(), **settings}
    return make_app("sample", routes=[routes(seen or Seen()), *more], **given)


@contextlib.contextmanager
def client(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the app, which is served by a thread."""
    with served(app, grace_s=1.0) as url, httpx.Client(base_url=url, timeout=DEADLINE_S) as to:
        yield to


def open_socket(to: httpx.Client) -> socket.socket:
    return socket.create_connection((to.base_url.host, to.base_url.port or 80), timeout=DEADLINE_S)


def exchange(to: httpx.Client, *pieces: bytes) -> bytes:
    """Send bytes as they are, piece by piece; return all that comes until the other side closes."""
    with open_socket(to) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def one_answer(connection: socket.socket, received: bytes = b"") -> bytes:
    """Read one answer whole: its head, and as many bytes as its Content-Length says."""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, "the connection was closed before an answer"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(length - len(body))
    return head + b"\r\n\r\n" + body


def answer_of(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer with a Content-Length."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def until(true: Callable[[], bool], seconds: float = DEADLINE_S) -> float:
    """Wait until it is true; return how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come true"
        time.sleep(0.005)
    return time.monotonic() - began


PROGRAM = """
import sys
from core.serving.config import ServingConfig
from core.serving.server import serve
from tests.core.serving.service import Seen, make
serve(make(Seen(), on_stop=None), "127.0.0.1", 0, ServingConfig(grace=float(sys.argv[1])))
print("served", flush=True)
"""


@contextlib.contextmanager
def process(grace_s: float) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """The service as a process of its own, and a client of it."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(grace_s)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), started.communicate()
        with httpx.Client(base_url=line.split()[2].rstrip(";"), timeout=DEADLINE_S) as to:
            yield started, to
    finally:
        started.kill()
        started.communicate()
