"""What a client gets for an error of the engine, a recipe or a picture."""

from __future__ import annotations

from apps.imagegen.errors import Cancelled
from apps.imagegen.reasons import DRAWING
from core.errors import InputError, TriptychError
from core.serving.service_error import ServiceError

# Field of a recipe → field of a request.
_FIELDS = {"negative": "negative_prompt"}


def failure_of(error: BaseException | None) -> ServiceError:
    """Return the answer for a picture that failed or was cancelled."""
    if isinstance(error, Cancelled):
        return ServiceError(503, error.code, error.sentence)
    if isinstance(error, InputError):
        return refusal_of(error)
    if isinstance(error, TriptychError):
        return ServiceError(500, error.code, error.sentence)
    fault = DRAWING("drawing_failed", type=type(error).__name__)
    return ServiceError(500, fault.code, fault.sentence)


def refusal_of(error: InputError) -> ServiceError:
    """Return a refusal with the name of the request's field at fault."""
    param = getattr(error, "param", None)
    return ServiceError(400, error.code, error.sentence, param=_FIELDS.get(str(param), param))
