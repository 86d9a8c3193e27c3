"""Bodies of requests: a JSON object, or a multipart form with files. Whatever else arrives is refused in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from apps.imagegen.service.reasons import BODY
from core.serving.forms import json_object, media_type_of
from core.serving.reasons import FORMS

JSON, MULTIPART = "application/json", "multipart/form-data"
_FIELDS = 64  # of a form; a request has about twenty


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. NaN passes as Python reads it: its field's own check names it.

    Raises ServiceError: 415 for another content type, else 400.
    """
    _check_kind(request, (JSON,))
    return json_object(await request.body(), '{"prompt": "red apple"}', nan=True)


async def form_body(request: Request, files: Sequence[str]) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return texts and files of a multipart form. files: names that hold files; `name[]` counts as `name`.

    Raises ServiceError: 415 for another content type; 400 for a file where a text belongs or the other way round,
    a field given twice, or a form that is broken.
    """
    _check_kind(request, (MULTIPART,))
    texts: dict[str, str] = {}
    received: dict[str, bytes] = {}
    async with request.form(max_files=2 * len(files) + 2, max_fields=_FIELDS) as form:
        for key, value in form.multi_items():
            name = key.removesuffix("[]")
            if name in texts or name in received:
                raise BODY("field_twice", param=name, type="file" if name in files else "value")
            if isinstance(value, UploadFile) != (name in files):
                given, wanted = ("a text", "a file") if name in files else ("a file", "a text")
                raise FORMS("field_type", param=name[:100], value=given, wanted=wanted)
            if isinstance(value, UploadFile):
                received[name] = await value.read()
            else:
                texts[name] = value
    return texts, received


def is_form(request: Request) -> bool:
    """Tell whether a request carries a form; raise ServiceError 415 where it carries neither form nor JSON."""
    return _check_kind(request, (JSON, MULTIPART)) == MULTIPART


def _check_kind(request: Request, wanted: Sequence[str]) -> str:
    return media_type_of(request.headers.get("content-type", ""), wanted)
