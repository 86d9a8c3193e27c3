"""Read what a request holds: a JSON object, and a form of named fields with their types; each fault in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from core.serving.reasons import FORMS
from core.serving.service_error import ServiceError

Form = TypeVar("Form", bound=BaseModel)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "dict": "an object",
    "list": "a list",
}


def media_type_of(content_type: str, wanted: Sequence[str]) -> str:
    """Return the media type of a Content-Type, without its parameters. Raises ServiceError 415, content_type."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in wanted:
        raise FORMS("content_type", types=" or ".join(wanted))
    return media_type


def json_object(content: bytes, example: str, *, nan: bool = False) -> dict[str, Any]:
    """Return the JSON object of a body. example: one, for the sentence of what is none.

    nan: NaN and Infinity, which are not JSON, pass as Python reads them; else they are refused by name.
    Raises ServiceError 400: body_not_utf8, body_not_json, body_nan, body_not_object.
    """
    try:
        result = json.loads(content.decode("utf-8"), parse_constant=None if nan else _refuse)
    except UnicodeDecodeError:
        raise FORMS("body_not_utf8") from None
    except (ValueError, RecursionError):
        # broken, nested too deeply, or with a number of thousands of digits
        raise FORMS("body_not_json") from None
    if not isinstance(result, dict):
        raise FORMS("body_not_object", example=example)
    return result


def read_form(form: type[Form], values: Mapping[str, Any], *, strict: bool = True) -> Form:
    """Return the form of these values.

    strict=False reads numbers from texts, as queries and multipart bodies have them. null counts as left out. Raises
    ServiceError 400 that names the first field at fault: field_unknown, field_missing, field_type.
    """
    given = {key: value for key, value in values.items() if value is not None}
    for name in given.keys() - form.model_fields.keys():
        known = ", ".join(form.model_fields)
        raise FORMS("field_unknown", param=name[:100], name=shown(name), known=known)
    try:
        return form.model_validate(given, strict=strict)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=True)[0]
        raise _refusal(fault) from None


def shown(value: object) -> str:
    """Return a value as it may be quoted in a sentence: ASCII, at most 40 characters."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _refuse(word: str) -> NoReturn:
    raise FORMS("body_nan", word=word)


def _refusal(fault: Any) -> ServiceError:
    field, kind = ".".join(map(str, fault["loc"]))[:100], str(fault["type"])
    if kind == "missing":
        return FORMS("field_missing", param=field)
    wanted = _KINDS.get(kind.partition("_")[0], "another value")
    if kind == "literal_error":
        wanted = "one of " + str(fault["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
    return FORMS("field_type", param=field, value=shown(fault["input"]), wanted=wanted)
