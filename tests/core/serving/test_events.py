from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from core.serving.events import event_stream, frame, run_until_disconnect
from core.serving.service_error import ServiceError
from tests.core.serving.service import Seen, client, make, open_socket, until


def events_of(text: str) -> list[tuple[str, Any]]:
    """What a reader of server-sent events hears: comments are left out."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields.get("event", ""), json.loads(fields["data"])))
    return events


def test_an_event_is_one_line_of_ascii() -> None:
    assert frame("a", {"b": "c\nd\u2028é"}) == b'event: a\ndata: {"b": "c\\nd\\u2028\\u00e9"}\n\n'
    assert frame("", {}) == b"data: {}\n\n"
    with pytest.raises(ValueError, match="Out of range float values"):
        frame("a", {"b": float("inf")})


def test_events_come_as_they_were_sent() -> None:
    seen = Seen()
    with client(make(seen)) as to:
        answer = to.get("/events", params={"number": 3})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    counts = [("count", {"i": i, "text": "a\n\nevent: b\u2028\ud800"}) for i in range(3)]
    assert events_of(answer.text) == [*counts, ("", {"end": True})]
    assert seen.ended == ["done", "end"]


def test_each_event_comes_at_once_and_silence_is_filled() -> None:
    began = time.monotonic()
    with (
        client(make()) as to,
        to.stream("GET", "/events", params={"number": 2, "pause": 0.3}) as answer,
    ):
        lines = iter(answer.iter_lines())
        early = [next(lines) for _ in range(3)]
        assert time.monotonic() - began < 5
        late = list(lines)
    assert early == [": stream", "", "event: count"]
    assert late.count(": heartbeat") >= 4


def test_an_error_is_the_last_event() -> None:
    with client(make()) as to:
        answer = to.get("/events", params={"number": 1, "fail": True})
        assert to.get("/empty").status_code == 200
    name, data = events_of(answer.text)[-1]
    request = answer.headers["x-request-id"]
    assert (name, data["error"]["code"]) == ("error", "internal_error")
    assert request in data["error"]["message"]
    assert "secret" not in answer.text


def test_a_client_that_leaves_ends_the_work_of_its_stream() -> None:
    seen = Seen()
    with client(make(seen)) as to:
        with to.stream("GET", "/events", params={"number": 1000, "pause": 20}) as answer:
            lines = answer.iter_lines()  # httpx closes the answer with this iterator
            assert next(lines) == ": stream"
            until(lambda: seen.began == 1)
            assert seen.ended == []
        took = until(lambda: seen.ended == ["CancelledError", "end"], 5)
        until(lambda: 'route="/events",status="499"} 1.0' in to.get("/metrics").text)
    assert took < 1.0


def test_a_client_that_leaves_in_the_middle_of_a_flood_ends_it_too() -> None:
    """Then the stream waits at the network, not at its source."""
    seen = Seen()
    with client(make(seen)) as to:
        with open_socket(to) as connection:
            connection.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: seen.began == 1)
            connection.recv(1000)
            time.sleep(0.1)
        assert until(lambda: len(seen.ended) == 1, 5) < 1.0


def test_a_client_that_leaves_ends_the_work_of_its_request() -> None:
    seen = Seen()
    with client(make(seen)) as to:
        with open_socket(to) as connection:
            connection.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            until(lambda: seen.began == 1)
            assert seen.ended == []
        took = until(lambda: seen.ended == ["CancelledError"], 5)
        until(lambda: 'route="/wait",status="499"} 1.0' in to.get("/metrics").text)
        assert to.post("/wait?seconds=0").json() == {"waited": 0.0}
    assert took < 1.0


def test_one_that_leaves_does_not_disturb_the_others() -> None:
    seen = Seen()
    with client(make(seen)) as to, ThreadPoolExecutor(4) as pool:
        stay = [pool.submit(to.post, "/wait?seconds=0.4") for _ in range(4)]
        until(lambda: seen.began == 4)
        with open_socket(to) as connection:
            connection.sendall(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            until(lambda: seen.began == 5)
        assert [answer.result().status_code for answer in stay] == [200] * 4
        until(lambda: len(seen.ended) == 5)
    assert sorted(seen.ended) == ["CancelledError", *["done"] * 4]


def request_of(*messages: dict[str, Any]) -> Request:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.sleep(60)
        return {}

    return Request({"type": "http", "method": "GET", "headers": []}, receive)


def test_an_error_of_the_work_comes_through() -> None:
    async def fail() -> None:
        raise ServiceError(409, "taken", "it is taken")

    with pytest.raises(ServiceError, match="it is taken"):
        asyncio.run(run_until_disconnect(request_of(), fail()))


def test_an_error_of_cleaning_up_comes_through() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("the cleaning failed")

    with pytest.raises(ValueError, match="the cleaning failed"):
        asyncio.run(run_until_disconnect(request_of({"type": "http.disconnect"}), work()))


def test_work_of_a_cancelled_request_is_cancelled() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def test() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_until_disconnect(request_of(), work()), 0.02)

    asyncio.run(test())
    assert ended == [True]


def test_what_a_route_took_is_given_back_even_if_nothing_was_sent() -> None:
    ended = []

    async def never() -> AsyncIterator[tuple[str, dict[str, Any]]]:
        yield "", {}

    async def broken(message: Any) -> None:
        raise OSError("the network is gone")

    async def test() -> None:
        request = request_of()
        answer = event_stream(never(), request, on_end=lambda: ended.append(True))
        with pytest.raises(OSError, match="the network is gone"):
            await answer(request.scope, request.receive, broken)

    asyncio.run(test())
    assert ended == [True]


def test_httpx_reads_no_more_than_it_is_sent() -> None:
    """The stream of an answer ends; the connection can be used again."""
    with client(make()) as to:
        for _ in range(3):
            assert events_of(to.get("/events", params={"number": 0}).text) == [("", {"end": True})]
        assert isinstance(to.get("/empty"), httpx.Response)
