"""Errors as a service answers them: a status, a stable code, one sentence, and the field at fault."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from core.errors import InputError, ItemRefused, OutputError, frames_of
from core.runs.log import REQUEST_ID, RunLog
from core.serving.reasons import LIMITS, ROUTE, STATE
from core.serving.service_error import ServiceError
from core.text.quoting import shortened

_SHOWN = 60  # characters of a path or a method that a sentence quotes
_OWN_DIGITS = 12  # of a request's name where none is given


ErrorBody = Callable[[ServiceError], dict[str, Any]]


def default_error_body(error: ServiceError) -> dict[str, Any]:
    """Return the JSON of an error: `{"error": {"code", "message", "param"}}`."""
    return {"error": {"code": error.code, "message": error.sentence, "param": error.param}}


def new_request_id() -> str:
    """Return 12 hex digits, drawn at random."""
    return secrets.token_hex(_OWN_DIGITS // 2)


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return what an answer and the log call a request: its own X-Request-ID, or a new one.

    A client's own counts where it is what proxies make, 32 hex digits or a UUID: other words could say something of a
    person or a thing, and the log holds no word of a request.
    """
    for name, value in headers:
        if name == b"x-request-id":
            given = value.decode("latin-1").lower()
            if REQUEST_ID.fullmatch(given) and len(given) > _OWN_DIGITS:
                return given
    return new_request_id()


def as_service_error(error: BaseException, method: str, path: str) -> ServiceError | None:
    """Return the answer for an error; None for one that only the log may name."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error, method, path)
    if isinstance(error, ClientDisconnect):
        return LIMITS("client_gone")
    # A result that cannot be written is our own trouble, and its sentence names a folder of this machine.
    if isinstance(error, (InputError, ItemRefused)) and not isinstance(error, OutputError):
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
        return STATE("internal_error", request=request_id)

    def response(self, error: ServiceError) -> Response:
        """Return the answer to send."""
        return json_response(self.body(error), error.status, error.headers)

    def event(self, name: str, **fields: Any) -> None:
        """Write to the log, without the fields that are None.

        A log that cannot be written (full disk) must not fail the request.
        """
        if self._log is not None:
            try:
                self._log.event(name, **{key: value for key, value in fields.items() if value is not None})
            except InputError:
                pass


def json_response(
    content: Mapping[str, Any] | Sequence[Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON answer in ASCII: lone surrogates of an input have no UTF-8."""
    return Response(
        json.dumps(content, allow_nan=False),
        status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def _of_http(error: HTTPException, method: str, path: str) -> ServiceError:
    """Return the answer for an error of Starlette's routes; one raised with words of its own keeps them."""
    shown, headers = shortened(path, _SHOWN), dict(error.headers or {})
    if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
        return ROUTE("not_found", path=shown, headers=headers)
    if error.status_code == 405:
        allowed = next(
            (value for name, value in headers.items() if name.lower() == "allow"), "another method"
        )
        return ROUTE(
            "method_not_allowed", path=shown, allowed=allowed, method=method[:_SHOWN], headers=headers
        )
    if error.status_code == 400 and (error.__cause__ or error.__context__) is not None:
        return ROUTE("body_unreadable", headers=headers)
    refused = ROUTE("request_refused", detail=error.detail, headers=headers)
    refused.status = error.status_code
    return refused
