"""Tables of the image service: the fields of its requests, from the forms that check them."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.markdown import code, escaped, table

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def openai_fields() -> str:
    """Return the fields of a generation or an edit of OpenAI's images API."""
    from apps.imagegen.service.openai_forms import OpenAIForm

    return form_table(OpenAIForm)


def own_fields() -> str:
    """Return the fields of a request to /api/generate."""
    from apps.imagegen.service.own_forms import OwnForm

    return form_table(OwnForm)


def form_table(form: type[BaseModel]) -> str:
    """Return a row for each field of a form: type, default, and the meaning that its docstring gives."""
    rows = []
    for name, field in form.model_fields.items():
        assert field.description, f"{form.__name__}.{name} has no docstring"
        rows.append((code(name), _type(field.annotation), _default(field), escaped(field.description)))
    return table(("field", "type", "default", "meaning"), rows)


def _type(annotation: Any) -> str:
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(map(code, inner))
    if inner:
        return ", ".join(_type(one) for one in inner if one is not type(None))
    return _WORDS[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    shown = {None: "null", True: "true", False: "false", "": "empty"}
    value = field.default
    return code(shown[value]) if value is None or value == "" or isinstance(value, bool) else code(value)
