from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from core.errors import InputError
from core.runs.log import RunLog
from core.runs.outputs import output_error
from core.serving.server import served
from core.serving.service_error import ServiceError
from tests.core.serving.service import Seen, answer_of, client, exchange, make, one_answer, open_socket, until


@pytest.fixture(scope="module")
def to() -> Iterator[httpx.Client]:
    with client(make()) as service:
        yield service


def error_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert list(content) == ["error"]
    return content["error"]


def test_a_good_request_is_answered(to: httpx.Client) -> None:
    answer = to.post("/orders/a%20b", json={"what": "tea", "count": 3})
    assert (answer.status_code, answer.json()) == (
        200,
        {"name": "a b", "what": "tea", "count": 3},
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) == 12
    assert "server" not in answer.headers
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_refusal_names_its_field(to: httpx.Client) -> None:
    answer = to.post("/orders/x", json={})
    assert answer.status_code == 400
    assert error_of(answer) == {"code": "field_missing", "message": "what is missing", "param": "what"}


def test_a_form_is_read_and_a_broken_one_refused(to: httpx.Client) -> None:
    good = to.post("/uploads", files={"file": b"12345"}, data={"note": "x"})
    assert (good.status_code, good.json()) == (200, {"bytes": 5, "note": "x"})
    broken = to.post("/uploads", content=b"xx", headers={"Content-Type": "multipart/form-data"})
    assert (broken.status_code, error_of(broken)["code"]) == (400, "body_unreadable")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing?q=secret", 404, "there is nothing at /nothing"),
        ("GET", "/empty/", 404, "there is nothing at /empty/"),
        ("GET", "/" + "a" * 200, 404, "there is nothing at /" + "a" * 59 + "..."),
        ("GET", "/orders/x", 405, "/orders/x takes POST, not GET"),
        ("BREW", "/empty", 405, "/empty takes GET, not BREW"),
        ("OPTIONS", "/orders/x", 405, "/orders/x takes POST, not OPTIONS"),
        ("GET", "/docs", 404, "there is nothing at /docs"),
    ],
)
def test_what_is_not_there(to: httpx.Client, method: str, path: str, status: int, message: str) -> None:
    answer = to.request(method, path)
    assert (answer.status_code, error_of(answer)["message"]) == (status, message)


def test_a_websocket_is_not_spoken(to: httpx.Client) -> None:
    answer = to.get("/empty", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert answer.status_code == 200


def test_an_input_error_is_the_clients(to: httpx.Client) -> None:
    answer = to.get("/refused", params={"code": "too_odd"})
    assert (answer.status_code, error_of(answer)) == (
        400,
        {"code": "too_odd", "message": "a sentence", "param": None},
    )
    assert to.get("/unwritten").status_code == 500


def test_readiness_has_a_reason_and_liveness_none() -> None:
    reasons = ["the model is loading", None]
    app = make(ready=lambda: reasons[0])
    with client(app) as to:
        answer = to.get("/health/ready")
        assert (answer.status_code, error_of(answer)["message"]) == (503, "not ready: the model is loading")
        assert answer.headers["retry-after"] == "1"
        assert to.get("/health/live").json() == {"status": "live"}
        del reasons[0]
        assert to.get("/health/ready").json() == {"status": "ready"}
        app.state.draining = True
        assert error_of(to.get("/health/ready"))["message"] == "not ready: it is shutting down"
        assert to.get("/health/live").status_code == 200
        assert to.head("/health/live").status_code == 200


def test_the_form_of_errors_is_the_apps() -> None:
    def body(error: ServiceError) -> dict[str, Any]:
        return {"fault": [error.status, error.code]}

    with client(make(error_body=body)) as to:
        assert to.get("/nothing").json() == {"fault": [404, "not_found"]}
        assert to.get("/fault").json() == {"fault": [500, "internal_error"]}
        assert to.post("/empty", content=b"x" * 2_000_000).json() == {"fault": [413, "body_too_large"]}


def test_a_fault_has_an_id_and_only_the_log_knows_more(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log, client(make(log=log)) as to:
        answer = to.get("/fault", params={"secret": "hunter2"})
        assert answer.status_code == 500
        request = answer.headers["x-request-id"]
        sentence = f"something went wrong here; the log of the service knows it as {request}"
        assert error_of(answer) == {"code": "internal_error", "message": sentence, "param": None}
        assert to.get("/empty").status_code == 200
        until(lambda: (tmp_path / "log.jsonl").read_text().count("\n") == 3)
    text = (tmp_path / "log.jsonl").read_text()
    assert "hunter2" not in text
    fault, line, _ = [json.loads(line) for line in text.splitlines()]
    assert (fault["event"], fault["request"], fault["type"]) == ("fault", request, "ValueError")
    assert fault["frames"][-1].startswith("tests/core/serving/service.py:")
    assert (line["event"], line["request"], line["status"], line["route"]) == (
        "request",
        request,
        500,
        "/fault",
    )


def test_an_answer_that_breaks_off_is_cut_and_logged(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log, client(make(log=log)) as to:
        with pytest.raises(httpx.RemoteProtocolError):
            to.get("/torn")
        assert to.get("/empty").status_code == 200
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line.get("status")) for line in lines] == [
        ("fault", None),
        ("request", 500),
        ("request", 200),
    ]


def test_the_access_log_holds_no_value_of_a_request(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log, client(make(log=log)) as to:
        to.post("/orders/secret", params={"q": "secret"}, json={"what": "secret"})
        to.request("SECRET", "/secret")
        to.get("/health/ready")
        to.get("/metrics")
    text = (tmp_path / "log.jsonl").read_text()
    assert "secret" not in text.lower()
    lines = [json.loads(line) for line in text.splitlines()]
    shown = [(line["method"], line["route"], line["status"]) for line in lines]
    assert shown == [("POST", "/orders/<name>", 200), ("other", "unmatched", 404)]
    assert all(0 < line["ms"] < 20_000 for line in lines)


def test_a_full_disk_under_the_log_harms_no_request() -> None:
    class Full(RunLog):
        def __init__(self) -> None: ...

        def event(self, name: str, /, **fields: Any) -> None:
            raise output_error(OSError(28, "No space left on device"), "runs")

    with client(make(log=Full())) as to:
        assert to.get("/empty").status_code == 200
        assert to.get("/fault").status_code == 500


def test_requests_are_counted_by_template(to: httpx.Client) -> None:
    app = make()
    with client(app) as to:
        for name in ("a", "b"):
            to.post(f"/orders/{name}", json={"what": "x"})
        to.post("/orders/c", json={})
        to.request("BREW", "/x1")
        to.get("/x2")
        lines = to.get("/metrics").text.splitlines()
    assert 'http_requests_total{method="POST",route="/orders/{name}",status="200"} 2.0' in lines
    assert 'http_requests_total{method="POST",route="/orders/{name}",status="400"} 1.0' in lines
    assert 'http_requests_total{method="other",route="unmatched",status="404"} 1.0' in lines
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in lines
    assert 'http_request_seconds_count{route="/orders/{name}"} 3.0' in lines
    assert "http_requests_in_flight 1.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_start_and_stop_are_called_once_each() -> None:
    calls: list[str] = []

    async def start() -> None:
        calls.append("start")

    async def stop() -> None:
        calls.append("stop")

    with client(make(on_start=start, on_stop=stop)) as to:
        assert calls == ["start"]
        assert to.get("/empty").status_code == 200
    assert calls == ["start", "stop"]


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_an_error_at_start_or_stop_comes_out_of_the_server(hook: str) -> None:
    async def fail() -> None:
        raise InputError("weights_missing", "there are no weights")

    with pytest.raises(InputError, match="there are no weights"), served(make(**{hook: fail})):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("outside") / "pages"
    (folder / "icons").mkdir(parents=True)
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "__init__.py").write_text("")
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "app.js").write_text("let a = 1")
    (folder / "icons" / "a.svg").write_text("<svg/>")
    with client(make(None, APIRouter(), pages=folder)) as service:
        yield service


@pytest.mark.parametrize(
    ("path", "media_type", "text"),
    [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/app.js", "text/javascript; charset=utf-8", "let a = 1"),
        ("/icons/a.svg", "image/svg+xml", "<svg/>"),
    ],
)
def test_pages_are_served_with_headers_that_guard_them(
    site: httpx.Client, path: str, media_type: str, text: str
) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, text, media_type)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = site.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert site.head(path).headers["content-length"] == str(len(text))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/icons/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/icons/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "/icons",
        "/__init__.py",
        "/app.js%00",
    ],
)
def test_no_path_leads_out_of_the_pages(site: httpx.Client, path: str) -> None:
    with open_socket(site) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        status, content = answer_of(one_answer(connection))
    assert (status, content["error"]["code"]) == (404, "not_found")


def test_the_wrong_method_for_a_page(site: httpx.Client) -> None:
    assert site.post("/", json={}).status_code == 405
    raw = exchange(site, b"GET http://elsewhere/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer_of(raw)[0] == 404


def test_two_services_in_one_process_do_not_share_counts() -> None:
    with client(make(Seen())) as one, client(make(Seen())) as other:
        one.get("/empty")
        assert 'route="/empty"' in one.get("/metrics").text
        assert 'route="/empty"' not in other.get("/metrics").text
