"""A recipe: all that decides the bytes of one image, and what a recipe may say. Free of torch."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from apps.imagegen.data.new_files import mark_of
from core.errors import InputError

FORMAT = 1  # of as_json; raised when a field changes its meaning
SEEDS = 2**63
_LINE_ENDS = frozenset("\n\r\t")


class RecipeError(InputError):
    """A field of a recipe cannot be used; `param` names the field."""

    def __init__(self, code: str, sentence: str, param: str) -> None:
        super().__init__(code, sentence)
        self.param = param

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:  # type: ignore[override]
        return type(self), (self.code, self.sentence, self.param)


@dataclass(frozen=True)
class Recipe:
    """One image. width, height: pixels; 0 means the model's own until Pipeline.resolve. strength: with an image only.

    image_sha256, mask_sha256: of the given pictures' RGB and 0/255 bytes at width × height. model, adapter_digest: of
    the weights; "" and None mean whichever are loaded. text_chunks: windows of the text encoder that prompt and
    negative prompt are read in; 0 means as many as they need until Pipeline.resolve.
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

    def as_json(self) -> dict[str, Any]:
        """Return what json.dumps takes: every field, and "format". One chunk of text is not mentioned."""
        fields = asdict(self)
        if self.text_chunks == 1:
            del fields["text_chunks"]
        return {"format": FORMAT, **fields}

    @property
    def mark(self) -> str:
        """8 hex digits that tell this recipe from others in a file's name."""
        return mark_of(json.dumps(self.as_json(), sort_keys=True).encode())

    @classmethod
    def from_json(cls, content: object) -> Recipe:
        """Return the recipe that `as_json` gave. Raises RecipeError: recipe_unreadable (what is wrong, and where)."""
        if not isinstance(content, Mapping) or "format" not in content:
            raise RecipeError(
                "recipe_unreadable", "this is no recipe: a JSON object with 'format' is wanted", "format"
            )
        if content["format"] != FORMAT or isinstance(content["format"], bool):
            raise RecipeError(
                "recipe_unreadable",
                f"the recipe is of format {content['format']!r}, and format {FORMAT} is wanted: "
                "use the release that wrote it",
                "format",
            )
        # recipes of earlier releases, which read one chunk, do not name it
        values = {"text_chunks": 1} | {name: value for name, value in content.items() if name != "format"}
        kinds = {field.name: str(field.type) for field in fields(cls)}
        for name in [*(values.keys() - kinds.keys()), *(kinds.keys() - values.keys())]:
            fault = "unknown" if name in values else "missing"
            raise RecipeError("recipe_unreadable", f"the recipe's field {name!r} is {fault}", str(name))
        for name, value in values.items():
            if not _is(value, kinds[name]):
                raise RecipeError(
                    "recipe_unreadable",
                    f"the recipe's {name} is a {type(value).__name__}, and {kinds[name]} is wanted",
                    name,
                )
        floats = {n: float(v) for n, v in values.items() if "float" in kinds[n] and v is not None}
        return cls(**{**values, **floats})


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
    adapters: tuple[str, ...] | None = None  # None: whoever draws knows them


def check(recipe: Recipe, limits: Limits) -> None:
    """Raise RecipeError where the recipe asks for what the model cannot draw; its param names the first such field.

    Codes: prompt_empty, prompt_too_long, prompt_unreadable, size_unknown, steps_range, guidance_range,
    scheduler_unknown, seed_range, strength_range, adapter_unknown, adapter_scale_range, text_chunks_range.
    """
    _check_text(recipe.prompt, "prompt", limits.prompt_chars)
    if not recipe.prompt.strip():
        raise RecipeError("prompt_empty", "the prompt is empty: say what to draw", "prompt")
    _check_text(recipe.negative, "negative", limits.prompt_chars)
    if not _whole(recipe.seed) or not 0 <= recipe.seed < SEEDS:
        raise RecipeError(
            "seed_range", f"seed is {_brief(recipe.seed)}; a whole number of 0 to 2^63 - 1 is wanted", "seed"
        )
    if (recipe.width, recipe.height) not in ((0, 0), *limits.sizes):
        sizes = ", ".join(f"{width}x{height}" for width, height in limits.sizes)
        asked = f"{_brief(recipe.width)}x{_brief(recipe.height)}"
        raise RecipeError("size_unknown", f"size is {asked}; this model draws {sizes}", "size")
    if not _whole(recipe.steps) or not limits.steps[0] <= recipe.steps <= limits.steps[1]:
        low, high = limits.steps
        raise RecipeError(
            "steps_range", f"steps is {_brief(recipe.steps)}; {low} to {high} is wanted", "steps"
        )
    _check_range(recipe.guidance, "guidance", limits.guidance)
    if recipe.scheduler not in limits.schedulers:
        raise RecipeError(
            "scheduler_unknown",
            f"scheduler is {_brief(recipe.scheduler)}; one of {', '.join(limits.schedulers)} is wanted",
            "scheduler",
        )
    _check_adapter(recipe, limits)
    _check_strength(recipe)
    if not _whole(recipe.text_chunks) or not 0 <= recipe.text_chunks <= limits.text_chunks:
        sentence = f"text_chunks is {_brief(recipe.text_chunks)}; 0 to {limits.text_chunks} is wanted"
        raise RecipeError("text_chunks_range", sentence, "text_chunks")


def seeds(recipe: Recipe, n: int, most: int = 1000) -> list[Recipe]:
    """Return n recipes that differ by the seed: image i uses seed + i, and 0 comes after 2^63 - 1.

    Raises RecipeError: count_range (n is not 1 to `most`).
    """
    if not _whole(n) or not 1 <= n <= most:
        raise RecipeError("count_range", f"n is {_brief(n)}; 1 to {most} pictures are wanted", "n")
    return [replace(recipe, seed=(recipe.seed + i) % SEEDS) for i in range(n)]


def _check_text(text: object, param: str, most: int) -> None:
    if not isinstance(text, str):
        raise RecipeError(
            "prompt_unreadable", f"the {param} is a {type(text).__name__}; text is wanted", param
        )
    if len(text) > most:
        raise RecipeError(
            "prompt_too_long", f"the {param} has {len(text)} characters; at most {most} are wanted", param
        )
    for place, sign in enumerate(text):
        if sign not in _LINE_ENDS and unicodedata.category(sign) in ("Cc", "Cs"):
            what = "half of a surrogate pair" if unicodedata.category(sign) == "Cs" else "a control character"
            raise RecipeError(
                "prompt_unreadable",
                f"the {param} has {what} (U+{ord(sign):04X}) at place {place + 1}: leave it out",
                param,
            )


def _check_range(value: object, param: str, between: tuple[float, float]) -> None:
    low, high = between
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RecipeError(
            f"{param}_range", f"{param} is {_brief(value)}; {low:g} to {high:g} is wanted", param
        )


def _check_adapter(recipe: Recipe, limits: Limits) -> None:
    _check_range(recipe.adapter_scale, "adapter_scale", limits.adapter_scale)
    if recipe.adapter is None or limits.adapters is None:
        return
    if recipe.adapter not in limits.adapters:
        names = ", ".join(limits.adapters) or "none"
        raise RecipeError(
            "adapter_unknown", f"adapter is {_brief(recipe.adapter)}; there is {names}", "adapter"
        )


def _check_strength(recipe: Recipe) -> None:
    if recipe.strength is None:
        if recipe.image_sha256 is not None:
            raise RecipeError(
                "strength_range", "strength is missing: say how much of the image may change", "strength"
            )
        return
    value = recipe.strength
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise RecipeError(
            "strength_range", f"strength is {_brief(value)}; more than 0 and at most 1 is wanted", "strength"
        )
    if recipe.image_sha256 is None:
        raise RecipeError("strength_range", "strength is given without an image: leave it out", "strength")


def _is(value: object, kind: str) -> bool:
    """Tell whether a JSON value is of a field's declared kind; NaN and infinity are no JSON."""
    if value is None:
        return "None" in kind
    if "str" in kind:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if "float" in kind else isinstance(value, int)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _brief(value: object) -> str:
    """Return a value as an error sentence may quote it: printable, and not a megabyte of it."""
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of more than 20 digits"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
