from __future__ import annotations

import errno

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core.errors import ConfigError, InputError, InternalFault, ItemRefused
from core.runs.outputs import output_error
from core.serving.errors import (
    as_service_error,
    default_error_body,
    json_response,
    new_request_id,
    request_id,
)
from core.serving.service_error import CLIENT_GONE, ServiceError


def test_the_body_of_an_error() -> None:
    error = ServiceError(400, "size_unknown", "size 7 is not served", "size")
    wanted = {"error": {"code": "size_unknown", "message": "size 7 is not served", "param": "size"}}
    assert default_error_body(error) == wanted


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
def test_the_answer_for_an_error(error: Exception, status: int, code: str, param: str | None) -> None:
    known = as_service_error(error, "GET", "/x")
    assert known is not None
    assert (known.status, known.code, known.param) == (status, code, param)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        InternalFault("a", "x"),
        ConfigError("a", "x"),
        output_error(OSError(errno.ENOSPC, "full"), "some/folder"),
    ],
)
def test_an_error_of_ours_has_no_answer_of_its_own(error: Exception) -> None:
    assert as_service_error(error, "GET", "/x") is None


def test_a_detail_that_somebody_wrote_is_kept() -> None:
    known = as_service_error(HTTPException(404, "no picture {7}"), "GET", "/pictures/7")
    assert known is not None
    assert (known.status, known.code, known.sentence) == (404, "request_refused", "no picture {7}")


def test_a_long_path_is_cut() -> None:
    known = as_service_error(HTTPException(404), "GET", "/" + "x" * 100)
    assert known is not None
    assert known.sentence == f"there is nothing at /{'x' * 59}..."


def test_json_is_ascii_and_without_nan() -> None:
    answer = json_response({"a": "é\ud800"}, 201, {"X-A": "b"})
    assert (answer.body, answer.status_code) == (b'{"a": "\\u00e9\\ud800"}', 201)
    assert answer.headers["x-a"] == "b"
    with pytest.raises(ValueError, match="Out of range float values"):
        json_response({"a": float("nan")})


def test_request_ids_differ() -> None:
    assert len({new_request_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "given", ["0af7651916cd43dd8448eb211c80319c", "6F9619FF-8B86-D011-B42D-00C04FC964FF"]
)
def test_a_proxys_name_of_a_request_is_kept(given: str) -> None:
    assert request_id([(b"host", b"a"), (b"x-request-id", given.encode())]) == given.lower()


@pytest.mark.parametrize(
    "given",
    [
        b"", b"patient-4711", b"123456789012", b"1.2.840.113619.2.55.3", b"0af7651916cd43dd8448eb211c80319c\n",
        b"0" * 400, b"\xff", b"../../etc", b"6f9619ff8b86-d011-b42d-00c04fc964ff",
    ],
)  # fmt: skip
def test_another_word_is_not(given: bytes) -> None:
    result = request_id([(b"x-request-id", given)])
    assert len(result) == 12
    assert int(result, 16) >= 0
    assert result != given.decode("latin-1")
