"""Bodies of requests: a JSON object, or a multipart form with files. Whatever else arrives is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from core.serving.service_error import ServiceError

JSON, MULTIPART = "application/json", "multipart/form-data"
_FIELDS = 64  # of a form; a request has about twenty


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. NaN passes as Python reads it: its field's own check names it.

    Raises ServiceError: 415 for another content type, else 400.
    """
    _check_kind(request, (JSON,))
    try:
        content = json.loads((await request.body()).decode("utf-8"))
    except UnicodeDecodeError:
        raise ServiceError(400, "body_unreadable", "the body is not UTF-8") from None
    except (ValueError, RecursionError):  # broken, nested too deeply, or a number of thousands of digits
        raise ServiceError(400, "body_unreadable", "the body is no JSON that can be read") from None
    if not isinstance(content, dict):
        raise ServiceError(
            400, "body_unreadable", 'the body must be a JSON object such as {"prompt": "red apple"}'
        )
    return content


async def form_body(request: Request, files: Sequence[str]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return texts and files of a multipart form. files: names that hold files; `name[]` counts as `name`.

    Raises ServiceError: 415 for another content type; 400 for a file where a text belongs or the other way round,
    a field given twice, or a form that is broken.
    """
    _check_kind(request, (MULTIPART,))
    texts: dict[str, str] = {}
    found: dict[str, bytes] = {}
    async with request.form(max_files=2 * len(files) + 2, max_fields=_FIELDS) as form:
        for key, value in form.multi_items():
            name = key.removesuffix("[]")
            if name in texts or name in found:
                what = "one file" if name in files else "one value"
                raise ServiceError(400, "field_twice", f"{name} is given twice; {what} is taken", param=name)
            if isinstance(value, UploadFile) != (name in files):
                kind = "a file" if name in files else "a text, not a file"
                raise ServiceError(400, "field_type", f"{name[:100]} must be {kind}", param=name[:100])
            if isinstance(value, UploadFile):
                found[name] = await value.read()
            else:
                texts[name] = value
    return texts, found


def is_form(request: Request) -> bool:
    """Tell whether a request carries a form; raise ServiceError 415 where it carries neither form nor JSON."""
    return _check_kind(request, (JSON, MULTIPART)) == MULTIPART


def _check_kind(request: Request, wanted: Sequence[str]) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in wanted:
        raise ServiceError(415, "content_type", f"the body must be sent as {' or '.join(wanted)}")
    return kind
