"""Errors as a service answers them: a status, a stable code, one sentence, and the field at fault."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from core.errors import InputError, ItemRefused, TriptychError, frames_of
from core.runs.log import RunLog

CLIENT_GONE = 499  # nginx's status for a client that left before it was answered
_SHOWN = 60  # characters of a value or a path that a sentence quotes
_KINDS = {
    "missing": ("field_missing", "is missing"),
    "extra_forbidden": ("field_unknown", "is no field of this request"),
}
_STATUS_CODES = {400: "body_unreadable", 404: "not_found", 405: "method_not_allowed"}


class ServiceError(TriptychError):
    """A request cannot be answered as asked.

    status: of HTTP. param: the field at fault, None where there is no single one. headers: sent with the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, sentence)
        self.status = status
        self.param = param
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.status, self.code, self.sentence, self.param, self.headers)


ErrorBody = Callable[[ServiceError], dict[str, Any]]


def default_error_body(error: ServiceError) -> dict[str, Any]:
    """Return the JSON of an error: `{"error": {"code", "message", "param"}}`."""
    return {"error": {"code": error.code, "message": error.sentence, "param": error.param}}


def new_request_id() -> str:
    """Return 12 hex digits, drawn at random: what an answer and the log call a request."""
    return secrets.token_hex(6)


def as_service_error(error: BaseException, method: str, path: str) -> ServiceError | None:
    """Return what a client is told of an error; None for one that only the log may tell."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return _of_http(error, method, path)
    if isinstance(error, ClientDisconnect):
        return ServiceError(CLIENT_GONE, "client_gone", "the client left in the middle of its request")
    # A result that cannot be written is our own trouble, and its sentence names a folder of this machine.
    if isinstance(error, (InputError, ItemRefused)) and not error.code.startswith("output_"):
        return ServiceError(400, error.code, error.sentence, getattr(error, "param", None))
    return None


class Answers:
    """Turns errors into answers in the service's own form, and logs those that nobody expected."""

    def __init__(self, body: ErrorBody, log: RunLog | None) -> None:
        self.body = body
        self._log = log

    def error(self, error: BaseException, method: str, path: str, request_id: str) -> ServiceError:
        """Return the error to answer with; the type and frames of an unexpected one go to the log."""
        known = as_service_error(error, method, path)
        if known is not None:
            return known
        self.event("fault", request=request_id, type=type(error).__name__, frames=frames_of(error))
        sentence = f"something went wrong here; the log of the service knows it as {request_id}"
        return ServiceError(500, "internal_error", sentence)

    def response(self, error: ServiceError) -> Response:
        """Return the answer to send."""
        return json_response(self.body(error), error.status, error.headers)

    def event(self, name: str, **fields: Any) -> None:
        """Write to the log; a log that cannot be written (full disk) must not fail the request."""
        if self._log is not None:
            try:
                self._log.event(name, **fields)
            except InputError:
                pass


def json_response(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON answer in ASCII: lone surrogates of an input have no UTF-8."""
    return Response(
        json.dumps(content, allow_nan=False),
        status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def _of_validation(error: RequestValidationError) -> ServiceError:
    """Tell the first of the faults that pydantic found: one sentence that names the field."""
    first = error.errors()[0]
    kind, place, value = first["type"], list(first["loc"]), first.get("input")
    if kind == "json_invalid":
        reason = str(first.get("ctx", {}).get("error", "")).lower()
        return ServiceError(400, "json_invalid", f"the body is no JSON: {reason} at character {place[-1]}")
    param = ".".join(str(part) for part in place[1:])
    if not param:
        return ServiceError(
            400, "body_unreadable", "the body must be a JSON object, sent as application/json"
        )
    shown = param if len(param) <= _SHOWN else param[:_SHOWN] + "…"
    if kind in _KINDS:
        code, words = _KINDS[kind]
        return ServiceError(400, code, f"{shown} {words}", param)
    words = str(first["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    words = words[:1].lower() + words[1:]
    quoted = f", not {_quoted(value)}" if isinstance(value, (str, int, float, bool, type(None))) else ""
    return ServiceError(400, "field_wrong", f"{shown}: {words}{quoted}", param)


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _of_http(error: HTTPException, method: str, path: str) -> ServiceError:
    code = _STATUS_CODES.get(error.status_code, "request_refused")
    shown = path if len(path) <= _SHOWN else path[:_SHOWN] + "…"
    headers = dict(error.headers or {})
    if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
        sentence = f"there is nothing at {shown}"
    elif error.status_code == 405:
        allowed = next(
            (value for name, value in headers.items() if name.lower() == "allow"), "another method"
        )
        sentence = f"{shown} takes {allowed}, not {method[:_SHOWN]}"
    elif error.status_code == 400 and error.__cause__ is not None:
        sentence = "the body cannot be read as what its Content-Type says"
    else:
        sentence = str(error.detail)
    return ServiceError(error.status_code, code, sentence, headers=headers)
