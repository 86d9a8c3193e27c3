from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from core.serving.config import ServingConfig
from core.serving.limits import ServingLimits, loopback_hosts, serving_limits
from tests.core.serving.service import (
    Seen,
    answer_of,
    client,
    exchange,
    make,
    one_answer,
    open_socket,
    read_to_end,
    until,
)

LIMIT = 200_000
HEAD = b"POST /orders/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def to() -> Iterator[httpx.Client]:
    limits = ServingLimits(body_bytes=LIMIT, body_s=0.3, header_bytes=4000)
    with client(make(limits=limits)) as service:
        yield service


def chunk(size: int) -> bytes:
    return f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"


def test_a_declared_body_that_is_too_large_is_refused_before_it_comes(to: httpx.Client) -> None:
    raw = exchange(to, HEAD + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
    status, content = answer_of(raw)
    assert (status, content["error"]["code"]) == (413, "body_too_large")
    assert content["error"]["message"] == "the body has more than 200,000 bytes, the most taken"
    assert b"connection: close" in raw.lower()


def test_a_chunked_body_is_counted_as_it_comes(to: httpx.Client) -> None:
    pieces = [chunk(50_000)] * 5
    began = time.monotonic()
    with open_socket(to) as connection:
        connection.sendall(CHUNKED)
        for piece in pieces:  # it never ends; five are too many
            connection.sendall(piece)
        raw = one_answer(connection)
        assert time.monotonic() - began < 2
        # The sender may go on for a moment, so that a client that only writes hears the answer too.
        connection.sendall(chunk(50_000))
        connection.sendall(b"0\r\n\r\n")
        assert read_to_end(connection) == b""
    assert answer_of(raw)[1]["error"]["code"] == "body_too_large"


def test_a_client_that_sends_first_and_reads_later_hears_the_refusal(to: httpx.Client) -> None:
    answer = to.post("/uploads", files={"file": b"x" * 5_000_000})
    assert answer.status_code == 413
    assert to.get("/empty").status_code == 200


def test_a_body_of_just_the_limit_is_taken(to: httpx.Client) -> None:
    frame = len(to.build_request("POST", "/uploads", files={"file": b""}, data={"note": "n"}).read())
    for extra, status in ((0, 200), (1, 413)):
        content = b"x" * (LIMIT - frame + extra)
        assert to.post("/uploads", files={"file": content}, data={"note": "n"}).status_code == status


@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"Content-Length: 1000\r\n\r\n"])
def test_a_body_that_does_not_come_is_waited_for_so_long(to: httpx.Client, head: bytes) -> None:
    with open_socket(to) as connection:
        connection.sendall(head + chunk(3))
        began = time.monotonic()
        raw = one_answer(connection)
        assert 0.2 < time.monotonic() - began < 5
    status, content = answer_of(raw)
    assert (status, content["error"]["message"]) == (408, "the body took longer than 0.3 s to arrive")


def test_a_body_in_drops_is_too_slow_as_well(to: httpx.Client) -> None:
    with open_socket(to) as connection:
        connection.sendall(CHUNKED)
        connection.settimeout(0.05)
        began = time.monotonic()
        raw = b""
        while not raw and time.monotonic() - began < 5:
            connection.sendall(chunk(1))
            try:
                raw = connection.recv(65536)
            except TimeoutError:
                continue
        raw = one_answer(connection, raw)
    assert answer_of(raw)[0] == 408


def test_a_connection_goes_on_after_an_error_with_a_small_body(to: httpx.Client) -> None:
    post = b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nxxxxx"
    last = b"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    raw = exchange(to, post, last)
    assert raw.startswith(b"HTTP/1.1 404")
    assert raw.count(b"HTTP/1.1 200") == 1


def test_a_connection_ends_after_an_error_whose_body_does_not_come(to: httpx.Client) -> None:
    with open_socket(to) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nxxxxx")
        raw = one_answer(connection)
    assert answer_of(raw)[0] == 404
    assert b"connection: close" in raw.lower()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X-A: " + b"a" * 5000, 431),
        (b"\r\n".join(b"X-%d: a" % i for i in range(600)), 431),
        (b"X-A: a", 200),
    ],
)
def test_headers_have_an_end(to: httpx.Client, head: bytes, status: int) -> None:
    raw = exchange(to, b"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + b"\r\n\r\n")
    assert answer_of(raw)[0] == status


def test_a_target_has_an_end(to: httpx.Client) -> None:
    answer = to.get("/empty?" + "a" * 5000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (414, "target_too_large")


def test_headers_without_end_are_cut_off(to: httpx.Client) -> None:
    with open_socket(to) as connection:
        connection.sendall(b"GET /empty HTTP/1.1\r\nHost: a\r\n")
        raw = b""
        try:
            for _ in range(5000):
                connection.sendall(b"X-A: " + b"a" * 1000 + b"\r\n")
            raw = read_to_end(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert raw == b"" or raw.startswith(b"HTTP/1.1 400")
    assert to.get("/empty").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /empty HTTP/1.1\r\n\r\n",
        b"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /empty HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x00" * 100_000,
    ],
)
def test_what_is_no_http_is_refused_and_the_next_is_served(to: httpx.Client, raw: bytes) -> None:
    try:
        assert exchange(to, raw).startswith(b"HTTP/1.1 400")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert to.get("/empty").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("", 421),
    ],
)
def test_a_loopback_service_has_no_other_name(host: str, status: int, local: httpx.Client) -> None:
    raw = exchange(local, f"GET /empty HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answered, content = answer_of(raw)
    assert answered == status
    if status == 421:
        message = "this service answers as 127.0.0.1 or localhost or ::1"
        assert content["error"] == {"code": "host_not_served", "message": message, "param": None}


@pytest.fixture(scope="module")
def local() -> Iterator[httpx.Client]:
    with client(make(limits=ServingLimits(hosts=loopback_hosts("127.0.0.1")))) as service:
        yield service


def test_only_a_loopback_address_limits_the_names() -> None:
    assert loopback_hosts("0.0.0.0") == loopback_hosts("192.0.2.1") == loopback_hosts("example.org") == ()
    assert loopback_hosts("localhost") == loopback_hosts("::1") == ("127.0.0.1", "localhost", "::1")
    assert loopback_hosts("127.0.0.9") == ("127.0.0.1", "localhost", "::1", "127.0.0.9")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://own"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://own"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[bad"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_ask_for_work(
    to: httpx.Client, headers: dict[str, str], status: int
) -> None:
    sent = {"Host": "own", **headers}
    answer = to.post("/uploads", files={"file": b"1"}, data={"note": "n"}, headers=sent)
    assert answer.status_code == status
    assert to.get("/empty", headers=sent).status_code == 200


def test_a_client_that_takes_nothing_of_its_answer_is_given_up() -> None:
    seen = Seen()
    with client(make(seen, limits=ServingLimits(send_s=0.2))) as to:
        with open_socket(to) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: seen.began == 1)
            until(lambda: seen.ended != [], 5)
        counted = to.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/flood",status="499"} 1.0' in counted


def test_the_options_of_a_service_become_its_limits() -> None:
    config = ServingConfig(
        body_mb=0.5, body_s=7, send_s=8, hosts=["A.example"], origins=["https://B.example"]
    )
    limits = serving_limits("0.0.0.0", config)
    assert (limits.body_bytes, limits.body_s, limits.send_s) == (500_000, 7, 8)
    assert limits.hosts == ("127.0.0.1", "localhost", "::1", "a.example")
    assert limits.origins == ("https://b.example",)
