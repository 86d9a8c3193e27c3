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
    """A field of a recipe cannot be used; `param` names it: prompt, steps, size, seed, …

    >>> from apps.imagegen import RecipeError, draw
    >>> try:
    ...     draw("red apple", steps=0)
    ... except RecipeError as error:
    ...     print(f"{error.param}, {error.code}: {error}")
    steps, steps_range: steps is 0; 1 to 1000 is wanted
    """


class PictureError(FieldError):
    """A picture or a mask cannot be used; `param` is "image" or "mask".

    >>> from apps.imagegen import PictureError, draw
    >>> try:
    ...     draw("red apple", image=b"a text")
    ... except PictureError as error:
    ...     print(f"{error.param}, {error.code}: {error}")
    image, image_format: the image is not a PNG, JPEG or WebP: save it as one of these
    """


class AdapterError(FieldError):
    """An adapter cannot be used; `param` is "adapter".

    >>> from apps.imagegen import AdapterError, draw
    >>> try:
    ...     draw("red apple", adapter="sketch.safetensors")
    ... except AdapterError as error:
    ...     print(f"{error.param}, {error.code}: {error}")
    adapter, adapter_missing: adapter=sketch.safetensors is not a file: name a .safetensors file
    """


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
