"""Errors that name the part of a request at fault.

InputError
└── FieldError       `param` names the field
    ├── RecipeError    a field of a recipe cannot be used
    ├── PictureError   a picture or a mask cannot be used
    └── AdapterError   an adapter (LoRA) cannot be used
"""

from __future__ import annotations

from core.errors import InputError


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
