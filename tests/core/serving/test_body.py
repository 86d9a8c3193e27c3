from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import APIRouter, Request

from core.serving.body import read_body
from core.serving.limits import ServingLimits
from tests.core.serving.service import client, make

MOST = 100_000
TEXT = b"some text, " * 1000


@contextmanager
def echo() -> Iterator[httpx.Client]:
    routes = APIRouter()

    @routes.post("/size")
    async def size(request: Request) -> dict[str, object]:
        body = await read_body(request, MOST)
        return {"size": len(body), "same": body == TEXT}

    with client(make(None, routes, limits=ServingLimits(body_bytes=MOST))) as to:
        yield to


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("x-GZIP", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
    ],
)
def test_a_body_is_unpacked(encoding: str, body: bytes) -> None:
    with echo() as to:
        answer = to.post("/size", content=body, headers={"Content-Encoding": encoding} if encoding else {})
        assert answer.json() == {"size": len(TEXT), "same": True}


BOMB = bytes(50_000_000)


@pytest.mark.parametrize(
    ("encoding", "body", "status", "code"),
    [
        ("gzip", gzip.compress(BOMB), 413, "body_unpacked_too_large"),
        ("deflate", zlib.compress(BOMB), 413, "body_unpacked_too_large"),
        ("gzip", gzip.compress(bytes(MOST + 1)), 413, "body_unpacked_too_large"),
        ("gzip", gzip.compress(TEXT)[:-5], 400, "body_encoding_damaged"),
        ("gzip", gzip.compress(TEXT) + b"more", 400, "body_encoding_damaged"),
        ("gzip", TEXT, 400, "body_encoding_damaged"),
        ("gzip", b"", 400, "body_encoding_damaged"),
        ("br", TEXT, 415, "body_encoding_unknown"),
        ("gzip, gzip", TEXT, 415, "body_encoding_unknown"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(encoding: str, body: bytes, status: int, code: str) -> None:
    with echo() as to:
        answer = to.post("/size", content=body, headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_body_of_just_the_size_is_taken() -> None:
    with echo() as to:
        answer = to.post("/size", content=gzip.compress(bytes(MOST)), headers={"Content-Encoding": "gzip"})
        assert answer.json()["size"] == MOST
