"""What a client gets for an error of the engine, a recipe or a picture."""

from __future__ import annotations

from apps.imagegen.errors import Cancelled
from core.errors import InputError, TriptychError
from core.serving.service_error import ServiceError

# Field of a recipe → field of a request.
_FIELDS = {"negative": "negative_prompt"}


def failure_of(error: BaseException | None) -> ServiceError:
    """Return the answer for a picture that failed or was cancelled."""
    if isinstance(error, Cancelled):
        return ServiceError(503, "cancelled", "the picture was cancelled; ask again")
    if isinstance(error, InputError):
        return refusal_of(error)
    if isinstance(error, TriptychError):
        return ServiceError(500, error.code, error.sentence)
    return ServiceError(500, "drawing_failed", "the picture could not be drawn")


def refusal_of(error: InputError) -> ServiceError:
    """Return a refusal with the name of the request's field at fault."""
    param = getattr(error, "param", None)
    return ServiceError(400, error.code, error.sentence, param=_FIELDS.get(str(param), param))
