"""Bodies: JSON and multipart, through a real Starlette application without a network."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from apps.imagegen.service.bodies import form_body, is_form, json_body
from core.serving.service_error import ServiceError


async def _json(request: Request) -> Response:
    return JSONResponse(await json_body(request))


async def _form(request: Request) -> Response:
    texts, files = await form_body(request, ("image",))
    return JSONResponse({"texts": texts, "files": {name: len(data) for name, data in files.items()}})


async def _kind(request: Request) -> Response:
    return JSONResponse(is_form(request))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return JSONResponse([error.code, error.param, error.sentence], error.status)


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route(path, endpoint, methods=["POST"])
        for path, endpoint in (("/j", _json), ("/f", _form), ("/k", _kind))
    ]
    return TestClient(Starlette(routes=routes, exception_handlers={ServiceError: _refused}))


def post_json(client: TestClient, body: bytes, kind: str = "application/json") -> Any:
    return client.post("/j", content=body, headers={"content-type": kind})


def test_a_json_object_arrives(client: TestClient) -> None:
    reply = post_json(client, '{"prompt": "猫", "n": 2}'.encode(), "application/JSON; charset=utf-8")
    assert (reply.status_code, reply.json()) == (200, {"prompt": "猫", "n": 2})


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        (b"", "body_not_json", "the body is not valid JSON"),
        (b"{", "body_not_json", "the body is not valid JSON"),
        (b"[" * 200_000, "body_not_json", "the body is not valid JSON"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "body_not_json", "the body is not valid JSON"),
        (b"\xff\xfe", "body_not_utf8", "the body is not UTF-8"),
        (b"[1]", "body_not_object", 'the body must be a JSON object such as {"prompt": "red apple"}'),
        (b"null", "body_not_object", 'the body must be a JSON object such as {"prompt": "red apple"}'),
    ],
)
def test_what_is_not_a_json_object_is_refused(
    client: TestClient, body: bytes, code: str, sentence: str
) -> None:
    reply = post_json(client, body)
    assert (reply.status_code, reply.json()) == (400, [code, None, sentence])


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_another_content_type_is_415(client: TestClient, kind: str) -> None:
    reply = post_json(client, b"{}", kind)
    assert (reply.status_code, reply.json()) == (
        415,
        ["content_type", None, "the body must be sent as application/json"],
    )


@pytest.mark.parametrize("name", ["image", "image[]"])
def test_a_form_arrives_as_texts_and_files(client: TestClient, name: str) -> None:
    reply = client.post("/f", data={"prompt": "猫"}, files={name: ("a.png", b"12345")})
    assert reply.json() == {"texts": {"prompt": "猫"}, "files": {"image": 5}}


@pytest.mark.parametrize(
    ("sent", "code", "param", "sentence"),
    [
        (
            {"files": [("image[]", b"1"), ("image[]", b"2")]},
            "field_twice",
            "image",
            "image is given twice; one file is taken",
        ),
        (
            {"data": {"image": "x"}, "files": {"image": b""}},
            "field_type",
            "image",
            "image is a text; it must be a file",
        ),
        ({"files": {"prompt": b"x"}}, "field_type", "prompt", "prompt is a file; it must be a text"),
        (
            {"data": {"n": ["1", "2"]}, "files": {"image": b"1"}},
            "field_twice",
            "n",
            "n is given twice; one value is taken",
        ),
    ],
)
def test_a_form_of_the_wrong_parts_is_refused(
    client: TestClient, sent: dict[str, Any], code: str, param: str, sentence: str
) -> None:
    reply = client.post("/f", **sent)
    assert (reply.status_code, reply.json()) == (400, [code, param, sentence])


def test_a_broken_form_is_400(client: TestClient) -> None:
    reply = client.post("/f", content=b"--x\r\nnonsense", headers={"content-type": "multipart/form-data"})
    assert reply.status_code == 400


def test_either_kind_is_reported_apart(client: TestClient) -> None:
    assert client.post("/k", json={}).json() is False
    assert client.post("/k", files={"image": b"1"}).json() is True
    assert client.post("/k", content=b"x").status_code == 415
