from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from core.errors import InputError, InternalFault
from core.serving import server
from core.serving.config import ServingConfig
from core.serving.metrics import Metrics
from core.serving.server import announce, bind, serve, served
from tests.core.serving.service import Seen, make, one_answer, open_socket, process, read_to_end, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_after_the_signal(sent: signal.Signals) -> None:
    with process(grace_s=20) as (running, to), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(to.post, "/wait?seconds=0.6")
        until(lambda: "http_requests_in_flight 2.0" in to.get("/metrics").text)
        running.send_signal(sent)
        until(lambda: _is_closed(to))
        assert answer.result().json() == {"waited": 0.6}
        assert running.wait(5) == 0
        assert running.communicate() == ("served\n", "")


def _is_closed(to: httpx.Client) -> bool:
    try:
        open_socket(to).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_that_hangs_is_reported_so_when_the_grace_is_over() -> None:
    with process(grace_s=0.3) as (running, to), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(to.post, "/wait")
        until(lambda: "http_requests_in_flight 2.0" in to.get("/metrics").text)
        began = time.monotonic()
        running.terminate()
        assert running.wait(5) == 0
        assert 0.25 < time.monotonic() - began < 3
        assert answer.result().status_code == 503
        assert answer.result().json()["error"]["code"] == "shutting_down"
        assert running.communicate() == ("served\n", "")


def test_a_stream_that_does_not_end_is_cut_when_the_grace_is_over() -> None:
    seen = Seen()
    metrics = Metrics()
    with served(make(seen, metrics=metrics), grace_s=0.2) as url:
        to = httpx.Client(base_url=url)
        stream = to.send(to.build_request("GET", "/events?number=9&pause=20"), stream=True)
        until(lambda: seen.began == 1)
    assert seen.ended == ["CancelledError", "end"]
    with pytest.raises(httpx.RemoteProtocolError):
        stream.read()
    to.close()
    assert b'http_requests_total{method="GET",route="/events",status="503"} 1.0' in metrics.text()


def test_a_second_signal_ends_the_grace() -> None:
    with process(grace_s=60) as (running, to), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(to.post, "/wait")
        until(lambda: "http_requests_in_flight 2.0" in to.get("/metrics").text)
        running.send_signal(signal.SIGINT)
        until(lambda: _is_closed(to))
        running.send_signal(signal.SIGINT)
        assert running.wait(5) == 0
        assert answer.result().status_code == 503


def test_idle_and_silent_connections_do_not_hold_the_end_up() -> None:
    with served(make(), grace_s=30) as url:
        idle = httpx.Client(base_url=url)
        assert idle.get("/empty").status_code == 200
        silent, partial = open_socket(idle), open_socket(idle)
        partial.sendall(b"GET /empty HT")
        time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert read_to_end(silent) == read_to_end(partial) == b""
    for connection in (idle, silent, partial):
        connection.close()


def test_work_that_resists_its_end_is_left_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_UNWIND_S", 0.2)
    ended = threading.Event()

    async def slow() -> None:
        await asyncio.sleep(0.4)
        ended.set()

    with served(make(on_stop=slow), grace_s=0.1):
        pass
    assert not ended.is_set()


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = (
            f"port {port} of 127.0.0.1 is taken by another program: choose another, or 0 for a free one"
        )
        with pytest.raises(InputError) as caught:
            serve(make(), "127.0.0.1", port, ServingConfig())
    assert (caught.value.code, caught.value.sentence) == ("port_taken", sentence)


def test_a_service_that_would_not_ask_for_its_keys_does_not_start(tmp_path: Path) -> None:
    config = ServingConfig(keys=str(tmp_path / "keys.json"))
    with pytest.raises(InternalFault, match="would not ask for the keys"):
        serve(make(), "127.0.0.1", 0, config)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a" * 70 + ".example", "ends..twice"])
def test_a_foreign_address_is_named(host: str) -> None:
    with pytest.raises(InputError, match="is not an address of this machine") as caught:
        bind(host, 0)
    assert caught.value.code == "host_unknown"


def test_a_port_is_free_again_at_once() -> None:
    with served(make()) as url:
        port = int(url.rpartition(":")[2])
        with httpx.Client(base_url=url) as to:
            to.get("/empty")
    bind("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("url", "keys", "line", "note"),
    [
        ("http://127.0.0.1:8000", False, "http://127.0.0.1:8000", ""),
        ("https://[::1]:8000", True, "https://[::1]:8000", ""),
        ("http://0.0.0.0:80", False, "http://0.0.0.0:80, open to everyone on the network", "asks for no key"),
        ("http://[::]:80", False, "http://[::]:80, open to everyone on the network", "asks for no key"),
        (
            "https://10.0.0.7:80",
            False,
            "https://10.0.0.7:80, open to everyone who reaches it",
            "asks for no key",
        ),
        ("http://0.0.0.0:80", True, "http://0.0.0.0:80, for holders of a key", "unencrypted, unless a proxy"),
        ("https://0.0.0.0:80", True, "https://0.0.0.0:80, for holders of a key", ""),
    ],
)
def test_where_it_listens_and_for_whom_is_said_once(
    url: str,
    keys: bool,
    line: str,
    note: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(server, "print_note", notes.append)
    announce(url, keys=keys)
    assert capsys.readouterr().out == f"listening on {line}; Ctrl-C ends it\n"
    assert len(notes) == bool(note)
    assert all(note in each for each in notes)


def test_a_head_that_does_not_come_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEAD_S", 0.2)
    with served(make(Seen())) as url, httpx.Client(base_url=url) as to:
        for begun in (b"", b"GET /empty HTTP/1.1\r\nHost:"):
            with open_socket(to) as connection:
                connection.sendall(begun)
                assert read_to_end(connection) == b""
        with open_socket(to) as connection:
            whole = b"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"
            connection.sendall(whole)
            assert one_answer(connection).startswith(b"HTTP/1.1 200")
            connection.sendall(b"GET /em")
            assert read_to_end(connection) == b""
            # Work may take longer than a head.
        assert to.post("/wait?seconds=0.4").status_code == 200
