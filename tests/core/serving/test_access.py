"""Keys over HTTP: who is let in, to what, how often; what the log says of it; pages of other sites."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from core.runs.log import RunLog
from core.serving import access, keys
from core.serving.access import key_ring, needs, role_of, secret_of
from core.serving.config import ServingConfig
from core.serving.keys import ADMIN, READ, KeyFile, KeyRing, new_key, read_keys, revoke_key
from core.serving.limits import ServingLimits
from tests.core.serving.service import Seen, client, make, until

OTHER_SITE = "https://app.example.org"


def more() -> APIRouter:
    """A list that is asked for by POST, and a route for those who run the service."""
    routes = APIRouter()

    @routes.post("/lists", openapi_extra=needs(READ))
    async def lists() -> dict[str, Any]:
        return {"items": []}

    @routes.post("/models/{name}/load", openapi_extra=needs(ADMIN))
    async def load(name: str) -> dict[str, Any]:
        return {"loaded": name}

    return routes


@dataclass
class Guarded:
    """A service that asks for keys. secrets: by role, and of the key `small` with its limits."""

    to: httpx.Client
    path: Path
    log: Path
    secrets: dict[str, str]
    seen: Seen

    def as_(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[role]}"}


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    monkeypatch.setattr(keys, "_LOOK_AGAIN_S", 0.0)
    path, seen = tmp_path / "keys.json", Seen()
    secrets = {role: new_key(path, f"of-{role}", role) for role in keys.ROLES}
    secrets["small"] = new_key(path, "small", "use", requests_per_minute=3, requests_at_once=1)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html>")
    with RunLog(tmp_path / "log.jsonl") as log:
        app = make(
            seen,
            more(),
            keys=KeyRing(path, open_metrics=False),
            log=log,
            pages=tmp_path / "site",
            limits=ServingLimits(origins=(OTHER_SITE,)),
        )
        with client(app) as to:
            yield Guarded(to, path, tmp_path / "log.jsonl", secrets, seen)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


@pytest.mark.parametrize(
    ("headers", "wanted", "challenge"),
    [
        ({}, "key_missing", "Bearer"),
        ({"Authorization": "Basic abc"}, "key_missing", "Bearer"),
        ({"Authorization": "Bearer"}, "key_missing", "Bearer"),
        ({"Authorization": "Bearer wrong"}, "key_unknown", 'Bearer error="invalid_token"'),
        ({"Authorization": b"Bearer \xff\xfe"}, "key_unknown", 'Bearer error="invalid_token"'),
        ({"X-API-Key": "wrong"}, "key_unknown", 'Bearer error="invalid_token"'),
    ],
)
def test_without_a_known_key_nothing_is_answered(
    guarded: Guarded, headers: dict[str, Any], wanted: str, challenge: str
) -> None:
    for method, path in (("GET", "/empty"), ("POST", "/orders/x"), ("GET", "/nothing"), ("GET", "/metrics")):
        answer = guarded.to.request(method, path, headers=headers)
        assert (answer.status_code, code(answer)) == (401, wanted)
        assert answer.headers["www-authenticate"] == challenge
        assert answer.headers["x-request-id"]
    assert guarded.to.get("/openapi.json").status_code == 401


def test_both_headers_take_the_key_and_a_key_counts_before_a_wrong_one(guarded: Guarded) -> None:
    secret = guarded.secrets["read"]
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer   {secret}"},
        {"X-API-Key": secret},
        {"Authorization": "Basic of-a-proxy", "X-API-Key": secret},
    ):
        assert guarded.to.get("/empty", headers=headers).status_code == 200


def test_probes_and_pages_need_no_key_and_metrics_where_they_are_guarded(guarded: Guarded) -> None:
    for path in ("/health/live", "/health/ready", "/"):
        assert guarded.to.get(path).status_code == 200
    statuses = {
        role: guarded.to.get("/metrics", headers=guarded.as_(role)).status_code for role in keys.ROLES
    }
    assert statuses == {"read": 403, "use": 403, "admin": 200}
    with client(make(keys=KeyRing(guarded.path))) as open_to_all:
        assert open_to_all.get("/metrics").status_code == 200
        assert open_to_all.get("/empty").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/empty", {"read", "use", "admin"}),
        ("POST", "/lists", {"read", "use", "admin"}),
        ("POST", "/orders/x", {"use", "admin"}),
        ("POST", "/models/x/load", {"admin"}),
    ],
)
def test_a_role_may_what_it_may(guarded: Guarded, method: str, path: str, allowed: set[str]) -> None:
    answers = {
        role: guarded.to.request(method, path, json={"what": "tea"}, headers=guarded.as_(role))
        for role in keys.ROLES
    }
    assert {role for role, answer in answers.items() if answer.status_code == 200} == allowed
    refused = [answer for answer in answers.values() if answer.status_code != 200]
    assert [(answer.status_code, code(answer)) for answer in refused] == [(403, "key_role")] * len(refused)


def test_an_expired_and_a_revoked_key_are_refused_while_the_service_runs(guarded: Guarded) -> None:
    use = guarded.as_("use")
    assert guarded.to.get("/empty", headers=use).status_code == 200
    revoke_key(guarded.path, "of-use")
    assert code(guarded.to.get("/empty", headers=use)) == "key_unknown"
    file = read_keys(guarded.path)
    ended = datetime.now(UTC) - timedelta(seconds=1)
    old = tuple(key.model_copy(update={"expires": ended}) for key in file.keys)
    guarded.path.write_text(KeyFile(salt=file.salt, keys=old).model_dump_json())
    answer = guarded.to.get("/empty", headers=guarded.as_("read"))
    assert (answer.status_code, code(answer)) == (401, "key_expired")


def test_a_broken_file_keeps_the_keys_of_before_and_is_logged_once(guarded: Guarded) -> None:
    guarded.path.write_text("{")
    for _ in range(3):
        assert guarded.to.get("/empty", headers=guarded.as_("read")).status_code == 200
    events = [json.loads(line) for line in guarded.log.read_text().splitlines()]
    assert [each["code"] for each in events if each["event"] == "keys_kept"] == ["keys_unreadable"]


def test_no_more_requests_a_minute_than_the_key_has(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(access, "monotonic", lambda: now[0])
    small = guarded.as_("small")

    def ask() -> int:
        return guarded.to.get("/empty", headers=small).status_code

    assert [ask(), ask()] == [200, 200]
    now[0] += 20.5
    assert [ask(), ask()] == [200, 429]
    answer = guarded.to.get("/empty", headers=small)
    assert (code(answer), answer.headers["retry-after"]) == ("key_rate", "40")
    assert guarded.to.get("/empty", headers=guarded.as_("read")).status_code == 200, "a key of its own limits"
    now[0] += 39.5
    assert [ask(), ask(), ask()] == [200, 200, 429]


def test_no_more_requests_at_once_than_the_key_has(guarded: Guarded) -> None:
    small = guarded.as_("small")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(guarded.to.post, "/wait?seconds=0.5", headers=small)
        until(lambda: guarded.seen.began == 1)
        answer = guarded.to.get("/empty", headers=small)
        assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (429, "key_at_once", "1")
        assert waiting.result().status_code == 200
    assert guarded.to.get("/empty", headers=small).status_code == 200


def test_the_log_names_the_key_and_neither_its_secret_nor_the_content(guarded: Guarded) -> None:
    proxys = "0af7651916cd43dd8448eb211c80319c"
    sent = {**guarded.as_("use"), "X-Request-ID": proxys}
    answer = guarded.to.post("/orders/secret", json={"what": "secret"}, headers=sent)
    assert answer.headers["x-request-id"] == proxys
    guarded.to.post("/orders/x", headers=guarded.as_("read"))
    guarded.to.get("/empty", headers={"X-API-Key": "hunter2"})
    until(lambda: guarded.log.read_text().count("\n") == 3)
    text = guarded.log.read_text()
    assert not [word for word in (*guarded.secrets.values(), "hunter2", '"secret') if word in text]
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line.get("key"), line["route"], line["status"]) for line in lines] == [
        ("of-use", "/orders/<name>", 200),
        ("of-read", "/orders/<name>", 403),
        (None, "unmatched", 401),
    ]
    assert lines[0]["request"] == proxys
    assert set(lines[0]) == {"time", "event", "request", "method", "route", "status", "ms", "key"}


def test_a_page_of_a_listed_site_may_send_a_key(guarded: Guarded) -> None:
    asked = {
        "Origin": OTHER_SITE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-api-key, content-type",
    }
    preflight = guarded.to.options("/orders/x", headers=asked)
    assert preflight.status_code == 200, "a browser sends no key with it"
    assert preflight.headers["access-control-allow-origin"] == OTHER_SITE
    allowed = {each.strip() for each in preflight.headers["access-control-allow-headers"].lower().split(",")}
    assert {"authorization", "x-api-key", "content-type"} <= allowed
    assert "access-control-allow-credentials" not in preflight.headers
    body = {"json": {"what": "tea"}}
    answer = guarded.to.post("/orders/x", headers={"Origin": OTHER_SITE, **guarded.as_("use")}, **body)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, OTHER_SITE)
    refused = guarded.to.post("/orders/x", headers={"Origin": OTHER_SITE}, **body)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, OTHER_SITE)
    other = guarded.to.options("/orders/x", headers={**asked, "Origin": "https://evil.example"})
    assert other.status_code == 400
    assert "access-control-allow-origin" not in other.headers


def test_openapi_says_which_role_a_route_needs(guarded: Guarded) -> None:
    schema = guarded.to.get("/openapi.json", headers=guarded.as_("read")).json()
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "header"}
    paths = schema["paths"]
    roles = {
        path: paths[path][method]["x-role"]
        for path, method in (("/empty", "get"), ("/orders/{name}", "post"), ("/models/{name}/load", "post"))
    }
    assert roles == {"/empty": "read", "/orders/{name}": "use", "/models/{name}/load": "admin"}
    assert {"401", "403", "429"} <= set(paths["/empty"]["get"]["responses"])


def test_a_role_is_that_of_the_method_where_a_route_names_none() -> None:
    assert [role_of(None, method) for method in ("GET", "HEAD", "POST", "DELETE")] == [
        "read",
        "read",
        "use",
        "use",
    ]
    assert role_of(needs(ADMIN), "GET") == "admin"


def test_the_bearers_key_counts_before_the_other_header() -> None:
    assert secret_of({b"authorization": b"Bearer a", b"x-api-key": b"b"}) == b"a"
    assert secret_of({b"authorization": b"Bearer ", b"x-api-key": b" b "}) == b"b"
    assert secret_of({}) == b""


def test_a_service_without_keys_has_no_ring_and_one_with_an_empty_file_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(access, "print_note", said.append)
    assert key_ring(ServingConfig()) is None
    path = tmp_path / "keys.json"
    new_key(path, "a", "use")
    revoke_key(path, "a")
    ring = key_ring(ServingConfig(keys=str(path)))
    assert ring is not None
    assert len(ring) == 0
    assert said == [f"{path} holds no key: every request is refused until it has one"]
