"""A recipe: all that decides the bytes of one image, and what a recipe may say. Free of torch."""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from apps.imagegen.data.new_files import mark_of
from apps.imagegen.reasons import RECIPE
from core.data.seeds import seed_of
from core.text.quoting import shortened

FORMAT = 1  # of as_json; raised when a field changes its meaning
SEEDS = 2**63
_LINE_ENDS = frozenset("\n\r\t")
_DIGITS = 20  # of a whole number that a sentence quotes


@dataclass(frozen=True)
class Recipe:
    """One image. width, height: pixels; 0 means the model's own until Pipeline.resolve. strength: with an image only.

    image_sha256, mask_sha256: of the given pictures' RGB and 0/255 bytes at width × height. model, adapter_digest: of
    the weights; "" and None mean whichever are loaded. text_chunks: windows of the text encoder that prompt and
    negative prompt are read in; 0 means as many as they need until Pipeline.resolve. runtime: exported networks that
    draw in place of PyTorch's: their format and a digest of their files, "openvino:…"; "" means PyTorch.

    >>> from apps.imagegen import Recipe
    >>> Recipe.from_json(Recipe("red apple", seed=7, text_chunks=1).as_json()).seed
    7
    """

    prompt: str
    negative: str = ""
    seed: int = 0
    width: int = 0
    height: int = 0
    steps: int = 25
    guidance: float = 4.0
    scheduler: str = "ddim"
    adapter: str | None = None
    adapter_scale: float = 1.0
    strength: float | None = None
    image_sha256: str | None = None
    mask_sha256: str | None = None
    model: str = ""
    adapter_digest: str | None = None
    text_chunks: int = 0
    runtime: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what json.dumps takes: every field, and "format". One chunk of text and PyTorch go unmentioned."""
        fields = asdict(self)
        if self.text_chunks == 1:
            del fields["text_chunks"]
        if not self.runtime:
            del fields["runtime"]
        return {"format": FORMAT, **fields}

    @property
    def mark(self) -> str:
        """8 hex digits that distinguish this recipe in a file's name."""
        return mark_of(json.dumps(self.as_json(), sort_keys=True).encode())

    @classmethod
    def from_json(cls, content: object) -> Recipe:
        """Return the recipe that `as_json` gave.

        Raises RecipeError: recipe_not_object, recipe_format, recipe_field_unknown, recipe_field_missing,
        recipe_field_type; its param names the field.
        """
        if not isinstance(content, Mapping) or "format" not in content:
            raise RECIPE("recipe_not_object", param="format")
        if content["format"] != FORMAT or isinstance(content["format"], bool):
            raise RECIPE("recipe_format", param="format", value=_brief(content["format"]), wanted=FORMAT)
        # recipes of earlier releases, which read one chunk and knew PyTorch alone, do not name them
        given = {name: value for name, value in content.items() if name != "format"}
        values = {"text_chunks": 1, "runtime": ""} | given
        types = {field.name: str(field.type) for field in fields(cls)}
        for name in sorted(values.keys() - types.keys()):
            raise RECIPE("recipe_field_unknown", param=name, name=_brief(name))
        for name in sorted(types.keys() - values.keys()):
            raise RECIPE("recipe_field_missing", param=name, name=_brief(name))
        checked = {}
        for name, value in values.items():
            try:
                checked[name] = _adapters()[name].validate_python(value)
            except ValidationError:
                kind = type(value).__name__
                raise RECIPE("recipe_field_type", param=name, type=kind, wanted=types[name]) from None
        return cls(**checked)


@functools.cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Return what checks each field of a recipe: whole numbers serve as floats, NaN and infinity do not."""
    config = ConfigDict(strict=True, allow_inf_nan=False)
    hints = get_type_hints(Recipe)
    return {field.name: TypeAdapter(hints[field.name], config=config) for field in fields(Recipe)}


@dataclass(frozen=True)
class Limits:
    """What one model can draw. sizes: (width, height) in pixels, the model's own first. Ranges include both ends.

    steps: at most as many as the noise was trained on. guidance of 1 or less means none.
    """

    sizes: tuple[tuple[int, int], ...]
    schedulers: tuple[str, ...]
    prompt_chars: int = 2000
    text_chunks: int = 1
    steps: tuple[int, int] = (1, 1000)
    guidance: tuple[float, float] = (0.0, 30.0)
    adapter_scale: tuple[float, float] = (0.0, 4.0)


def check(recipe: Recipe, limits: Limits) -> None:
    """Raise RecipeError where the recipe asks for what the model cannot draw; its param names the first such field.

    Codes: prompt_empty, prompt_type, prompt_too_long, prompt_unreadable, strength_range, strength_missing,
    strength_without_image, and those of `check_settings`.
    """
    _check_text(recipe.prompt, "prompt", limits.prompt_chars)
    if not recipe.prompt.strip():
        raise RECIPE("prompt_empty", param="prompt")
    check_settings(recipe, limits)
    _check_strength(recipe)


def check_settings(recipe: Recipe, limits: Limits) -> None:
    """Check all fields but prompt and strength, as `check` does.

    Codes: prompt_type, prompt_too_long, prompt_unreadable (of the negative prompt), seed_range, size_unknown,
    steps_range, guidance_range, scheduler_unknown, adapter_scale_range, text_chunks_range.
    """
    _check_text(recipe.negative, "negative", limits.prompt_chars)
    if not _whole(recipe.seed) or not 0 <= recipe.seed < SEEDS:
        raise RECIPE("seed_range", param="seed", value=_brief(recipe.seed))
    if (recipe.width, recipe.height) not in ((0, 0), *limits.sizes):
        sizes = ", ".join(f"{width}x{height}" for width, height in limits.sizes)
        width, height = _brief(recipe.width), _brief(recipe.height)
        raise RECIPE("size_unknown", param="size", width=width, height=height, sizes=sizes)
    if not _whole(recipe.steps) or not limits.steps[0] <= recipe.steps <= limits.steps[1]:
        low, high = limits.steps
        raise RECIPE("steps_range", param="steps", value=_brief(recipe.steps), low=low, high=high)
    if not _between(recipe.guidance, limits.guidance):
        least, most = limits.guidance
        value = _brief(recipe.guidance)
        raise RECIPE("guidance_range", param="guidance", value=value, low=least, high=most)
    if recipe.scheduler not in limits.schedulers:
        known = ", ".join(limits.schedulers)
        raise RECIPE("scheduler_unknown", param="scheduler", value=_brief(recipe.scheduler), known=known)
    if not _between(recipe.adapter_scale, limits.adapter_scale):
        least, most = limits.adapter_scale
        value = _brief(recipe.adapter_scale)
        raise RECIPE("adapter_scale_range", param="adapter_scale", value=value, low=least, high=most)
    if not _whole(recipe.text_chunks) or not 0 <= recipe.text_chunks <= limits.text_chunks:
        value = _brief(recipe.text_chunks)
        raise RECIPE("text_chunks_range", param="text_chunks", value=value, most=limits.text_chunks)


def seeds(recipe: Recipe, n: int, most: int = 1000) -> list[Recipe]:
    """Return n recipes that differ by the seed: image i uses seed + i, and 0 comes after 2^63 - 1.

    Raises RecipeError: count_range (n is not 1 to `most`).
    """
    if not _whole(n) or not 1 <= n <= most:
        raise RECIPE("count_range", param="n", value=_brief(n), most=most)
    return [with_seed(recipe, i) for i in range(n)]


def with_seed(recipe: Recipe, i: int) -> Recipe:
    """Return the recipe of picture i of several: its seed is i further on, and 0 comes after 2^63 - 1."""
    return replace(recipe, seed=seed_of(recipe.seed, i, SEEDS))


def _check_text(text: object, param: str, most: int) -> None:
    if not isinstance(text, str):
        raise RECIPE("prompt_type", param=param, type=type(text).__name__)
    if len(text) > most:
        raise RECIPE("prompt_too_long", param=param, characters=len(text), most=most)
    for number, sign in enumerate(text, 1):
        # control characters, and halves of surrogate pairs
        if sign not in _LINE_ENDS and unicodedata.category(sign) in ("Cc", "Cs"):
            raise RECIPE("prompt_unreadable", param=param, sign=f"U+{ord(sign):04X}", position=number)


def _between(value: object, ends: tuple[float, float]) -> bool:
    low, high = ends
    return not isinstance(value, bool) and isinstance(value, (int, float)) and low <= value <= high


def _check_strength(recipe: Recipe) -> None:
    if recipe.strength is None:
        if recipe.image_sha256 is not None:
            raise RECIPE("strength_missing", param="strength")
        return
    value = recipe.strength
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise RECIPE("strength_range", param="strength", value=_brief(value))
    if recipe.image_sha256 is None:
        raise RECIPE("strength_without_image", param="strength")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _brief(value: object) -> str:
    """Return a value as an error sentence may quote it: printable, and not a megabyte of it."""
    # Python refuses to write numbers of more than 4300 digits
    if isinstance(value, int) and abs(value) >= 10**_DIGITS:
        return f"a number of more than {_DIGITS} digits"
    return shortened(ascii(value))
