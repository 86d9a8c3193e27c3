"""What openapi.json says of a service: the statuses that its routes really answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from core.serving.access import role_of

_EVERY = (414, 421, 431, 500, 503)  # of the gate, of faults, and of a service that starts or stops
_CHANGING = (403, 413)  # of requests that change something
_WITH_BODY = (400, 408, 415)
_WITH_KEYS = (401, 403, 429)
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
# FastAPI's own answer to a wrong field, by its description; a wrong field is answered by 400 here.
_UNUSED = ("422", "Validation Error")
ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "code"],
            "properties": {
                "message": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}


def statuses(
    *codes: int, ok: int = 200, media_types: tuple[str, ...] = ("application/json",)
) -> dict[int | str, Any]:
    """Return the `responses` of a route: its success with the media types of its answer, and errors of its own."""
    success = {
        "description": HTTPStatus(ok).phrase,
        "content": {media_type: {} for media_type in media_types},
    }
    return {ok: success, **{code: _response(code) for code in codes}}


def real_statuses(
    app: FastAPI, *, keys: bool = False, error: Mapping[str, Any] = ERROR
) -> Callable[[], dict[str, Any]]:
    """Return what `app.openapi` is to be: the routes' own statuses, and those that every request may meet.

    keys: whether each request needs one; then the two headers that take it are described, and each route's role.
    error: JSON schema of an error's body.
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        for methods in schema.get("paths", {}).values():
            for method, operation in methods.items():
                responses = operation["responses"]
                if responses.get(_UNUSED[0], {}).get("description") == _UNUSED[1]:
                    del responses[_UNUSED[0]]
                more = _CHANGING if method not in ("get", "head") else ()
                body = _WITH_BODY if method == "post" else ()
                keyed = _WITH_KEYS if keys else ()
                if keys:
                    operation["x-role"] = role_of(operation, method.upper())
                for code in (*_EVERY, *more, *body, *keyed):
                    responses.setdefault(str(code), _response(code))
                for code, response in responses.items():
                    if response == _response(int(code)):
                        responses[code] = _response(int(code), error)
                operation["responses"] = dict(sorted(responses.items()))
        for name in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(name, None)
        if keys:
            schema.setdefault("components", {})["securitySchemes"] = _SCHEMES
            schema["security"] = [{name: []} for name in _SCHEMES]
        return schema

    return openapi


def _response(code: int, error: Mapping[str, Any] = ERROR) -> Mapping[str, Any]:
    return {"description": HTTPStatus(code).phrase, "content": {"application/json": {"schema": error}}}
