"""Errors of the image app.

InputError
├── FieldError       `param` names the field of a request at fault
│   ├── RecipeError    a field of a recipe cannot be used
│   ├── PictureError   a picture or a mask cannot be used
│   └── AdapterError   an adapter (LoRA) cannot be used
└── QueueFull        as many images wait as may
TriptychError
├── EngineClosed     the engine takes no more images, or ended before this one
└── Cancelled        the image was cancelled before it was done
"""

from __future__ import annotations

from core.errors import InputError, TriptychError


class FieldError(InputError):
    """One field of what was asked for cannot be used; `param` names it."""

    def __init__(self, code: str, sentence: str, param: str) -> None:
        super().__init__(code, sentence)
        self.param = param

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.code, self.sentence, self.param)


class RecipeError(FieldError):
    """A field of a recipe cannot be used."""


class PictureError(FieldError):
    """A picture or a mask cannot be used; `param` is "image" or "mask"."""


class AdapterError(FieldError):
    """An adapter cannot be used; `param` is "adapter"."""


class QueueFull(InputError):
    """As many images wait as may; retry_after_s: seconds in which about half of them will have begun."""

    def __init__(self, code: str, sentence: str, retry_after_s: float = 1.0) -> None:
        super().__init__(code, sentence)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type, tuple[str, str, float]]:  # type: ignore[override]
        return type(self), (self.code, self.sentence, self.retry_after_s)


class EngineClosed(TriptychError):
    """The engine takes no more images, or ended before it had drawn this one."""


class Cancelled(TriptychError):
    """The image was cancelled before it was done."""
