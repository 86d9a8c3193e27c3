"""Requests to draw, as they come over HTTP: fields with their types, strict, and what they mean as a recipe.

Both wire forms (OpenAI's and our own) share the fields of `DrawingForm`. A field left out or null takes the
service's default; an unknown one is refused by name, since ignoring it would draw another picture than was asked for.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.service.reasons import FIELD
from core.serving.forms import shown

RANDOM_SEEDS = 2**32  # small enough for every client's numbers
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


@dataclass(frozen=True)
class Defaults:
    """What a request gets that says nothing: steps, guidance, scheduler, and the strength of a change.

    pictures: the most that one request may ask for. fit: how an upload comes to the size, of config.FITS.
    """

    steps: int = 25
    guidance: float = 4.0
    scheduler: str = "ddim"
    strength: float = 0.7
    pictures: int = 10
    fit: str = "crop"


class DrawingForm(BaseModel):
    """Fields that every request to draw may have."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)

    prompt: str
    """What to draw, at most 2,000 characters; read in windows of the text encoder, what lies beyond is noted."""
    n: int = 1
    """Images to draw; image i uses seed + i. At most as many as `serve.pictures` allows."""
    size: str = "auto"
    """WIDTHxHEIGHT in pixels, one of the sizes of the model; auto: its own size, or the one nearest to the image."""
    negative_prompt: str = ""
    """What not to draw."""
    seed: int | None = None
    """0 to 2^63 - 1; null or -1: random, and the reply names the one that was drawn."""
    steps: int | None = None
    """Denoising steps; null: the default of the service."""
    guidance: float | None = None
    """Guidance scale, 0 to 30; 1 or less: no guidance. null: the default of the service."""
    scheduler: str | None = None
    """Sampler, one of those that /api/model lists; null: the default of the service."""
    adapter: str | None = None
    """Name of an adapter (LoRA) that /api/model lists."""
    adapter_scale: float = 1.0
    """Weight of the adapter, 0 to 4."""
    strength: float | None = None
    """How much of an uploaded image may change, above 0, at most 1; null: 0.7, with a mask 1."""
    fit: Literal["crop", "pad", "stretch"] | None = None
    """How an uploaded image is brought to the size: crop, pad with white, or stretch; null: the service's default."""


@dataclass(frozen=True)
class Upload:
    """Uploaded files: a picture to start from, and a mask of what to paint in it. None: not given.

    fit: how they come to the size that is drawn, of config.FITS; None: the service's default.
    """

    image: bytes | None = None
    mask: bytes | None = None
    fit: str | None = None


def recipe_of_form(form: DrawingForm, defaults: Defaults, upload: Upload) -> Recipe:
    """Return the recipe of the first picture; without a seed, or with -1, a random one is taken.

    Sizes of "auto" stay 0, and digests are empty: `complete_recipe` fills them in, and checks all values. Where a mask
    is given, the painted region is drawn anew from noise unless strength says otherwise. Raises ServiceError 400.
    """
    width, height = _size(form.size)
    strength = form.strength
    if upload.image is not None and strength is None:
        strength = defaults.strength if upload.mask is None else 1.0
    return Recipe(
        prompt=form.prompt,
        negative=form.negative_prompt,
        seed=secrets.randbelow(RANDOM_SEEDS) if form.seed in (None, -1) else form.seed,
        width=width,
        height=height,
        steps=defaults.steps if form.steps is None else form.steps,
        guidance=defaults.guidance if form.guidance is None else form.guidance,
        scheduler=defaults.scheduler if form.scheduler is None else form.scheduler,
        adapter=form.adapter,
        adapter_scale=form.adapter_scale,
        strength=strength,
    )


def _size(text: str) -> tuple[int, int]:
    """Return width and height, (0, 0) of auto. Raises ServiceError size_format."""
    if text == "auto":
        return 0, 0
    match = _SIZE.fullmatch(text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if 0 in size:
        raise FIELD("size_format", param="size", value=shown(text))
    return size
