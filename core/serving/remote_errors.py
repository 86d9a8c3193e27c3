"""Errors on their way between processes: class, code and sentence as plain JSON, of our own errors alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError, InputError, InternalFault, ItemRefused, OutputError, TriptychError
from core.serving.service_error import ServiceError

# The most special first.
_CLASSES: tuple[type[TriptychError], ...] = (
    ServiceError,
    OutputError,
    InputError,
    ConfigError,
    ItemRefused,
    InternalFault,
)


def described(error: TriptychError) -> dict[str, Any]:
    """Return an error as JSON types."""
    name = next((one.__name__ for one in _CLASSES if isinstance(error, one)), InternalFault.__name__)
    content: dict[str, Any] = {"class": name, "code": error.code, "sentence": error.sentence}
    if isinstance(error, ServiceError):
        content |= {"status": error.status, "headers": error.headers}
    content["param"] = getattr(error, "param", None)
    return content


def rebuilt(content: Mapping[str, Any]) -> TriptychError:
    """Return the error that `described` was given, as the nearest class of the error tree."""
    code, sentence, param = content["code"], content["sentence"], content["param"]
    if content["class"] == ServiceError.__name__:
        return ServiceError(content["status"], code, sentence, param, content["headers"])
    error_class = next(one for one in _CLASSES if one.__name__ == content["class"])
    error = error_class(code, sentence)
    if param is not None:
        error.param = param  # type: ignore[attr-defined]
    return error
