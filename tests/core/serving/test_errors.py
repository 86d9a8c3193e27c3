from __future__ import annotations

import pickle

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.errors import ConfigError, InputError, InternalFault, ItemRefused
from core.serving.errors import (
    CLIENT_GONE,
    ServiceError,
    as_service_error,
    default_error_body,
    json_response,
    new_request_id,
)


def test_the_body_of_an_error() -> None:
    error = ServiceError(400, "size_unknown", "size 7 is not served", "size")
    wanted = {"error": {"code": "size_unknown", "message": "size 7 is not served", "param": "size"}}
    assert default_error_body(error) == wanted


def test_an_error_passes_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ServiceError(429, "a", "b.", "c", {"Retry-After": "3"})))
    assert (error.status, error.code, error.sentence, error.param) == (429, "a", "b.", "c")
    assert error.headers == {"Retry-After": "3"}


class WithParam(InputError):
    param = "seed"


@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (ServiceError(418, "teapot", "x"), 418, "teapot", None),
        (InputError("too_odd", "x"), 400, "too_odd", None),
        (WithParam("seed_range", "x"), 400, "seed_range", "seed"),
        (ItemRefused("broken", "x"), 400, "broken", None),
        (HTTPException(404), 404, "not_found", None),
        (HTTPException(409, "there is one already"), 409, "request_refused", None),
        (ClientDisconnect(), CLIENT_GONE, "client_gone", None),
    ],
)
def test_what_a_client_is_told(error: Exception, status: int, code: str, param: str | None) -> None:
    told = as_service_error(error, "GET", "/x")
    assert told is not None
    assert (told.status, told.code, told.param) == (status, code, param)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        InternalFault("a", "x"),
        ConfigError("a", "x"),
        InputError("output_full", "the disk of some/folder is full"),
    ],
)
def test_what_only_the_log_is_told(error: Exception) -> None:
    assert as_service_error(error, "GET", "/x") is None


def test_a_detail_that_somebody_wrote_is_kept() -> None:
    told = as_service_error(HTTPException(404, "no picture 7"), "GET", "/pictures/7")
    assert told is not None
    assert told.sentence == "no picture 7"


def test_json_is_ascii_and_without_nan() -> None:
    answer = json_response({"a": "é\ud800"}, 201, {"X-A": "b"})
    assert (answer.body, answer.status_code) == (b'{"a": "\\u00e9\\ud800"}', 201)
    assert answer.headers["x-a"] == "b"
    with pytest.raises(ValueError, match="Out of range float values"):
        json_response({"a": float("nan")})


def test_request_ids_differ() -> None:
    assert len({new_request_id() for _ in range(100)}) == 100
