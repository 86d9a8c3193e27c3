"""A recipe and the pictures that come with it, to the whole recipe that an image is drawn by."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import numpy as np

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.reasons import RECIPE


class AdapterSource(Protocol):
    """Adapters by name, as models.adapters.AdapterCache has them."""

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an adapter's file. Raises InputError."""

    def load(self, name: str, digest: str, scale: float) -> None:
        """Read an adapter, so that `use` does not take the time. Raises InputError."""

    def use(self, name: str | None, scale: float, digest: str | None) -> AbstractContextManager[None]:
        """Let the networks compute with that adapter until the block ends. Raises InputError."""


def complete_recipe(
    pipeline: Pipeline,
    adapters: AdapterSource | None,
    recipe: Recipe,
    image: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Recipe:
    """Return the recipe with size, model and all digests filled in; those that it names must be of what is here.

    image: rgb_HWC uint8, mask: mask_HW bool, of the recipe's size. Raises InputError of the adapter, and RecipeError:
    those of Pipeline.resolve, image_missing, mask_missing, image_other, image_size, adapters_absent, adapter_other.
    """
    if image is None and (
        recipe.image_sha256 is not None or recipe.mask_sha256 is not None or mask is not None
    ):
        raise RECIPE("image_missing", param="image")
    if mask is None and recipe.mask_sha256 is not None:
        raise RECIPE("mask_missing", param="mask")
    image_sha256, mask_sha256 = sha256_of(image), sha256_of(mask)
    for what, named, digest in (
        ("image", recipe.image_sha256, image_sha256),
        ("mask", recipe.mask_sha256, mask_sha256),
    ):
        if named not in (None, digest):
            raise RECIPE("image_other", param=what)
    whole = pipeline.resolve(replace(recipe, image_sha256=image_sha256, mask_sha256=mask_sha256))
    for what, pixels, shape in (
        ("image", image, (whole.height, whole.width, 3)),
        ("mask", mask, (whole.height, whole.width)),
    ):
        if pixels is not None and pixels.shape != shape:
            raise RECIPE("image_size", param=what, shape=pixels.shape, wanted=shape)
    return replace(whole, adapter_digest=_adapter_digest(whole, adapters))


def sha256_of(pixels: np.ndarray | None) -> str | None:
    """Return the SHA-256 of a picture's bytes, or of a mask's as 0 and 255, as recipes name them; None of None.

    pixels: rgb_HWC uint8, or mask_HW bool.
    """
    if pixels is None:
        return None
    whole = pixels.astype(np.uint8) * np.uint8(255) if pixels.dtype == bool else pixels
    return hashlib.sha256(np.ascontiguousarray(whole).tobytes()).hexdigest()


def _adapter_digest(recipe: Recipe, adapters: AdapterSource | None) -> str | None:
    if recipe.adapter is None:
        return None
    if adapters is None:
        raise RECIPE("adapters_absent", param="adapter")
    digest = adapters.digest(recipe.adapter)
    if recipe.adapter_digest not in (None, digest):
        raise RECIPE("adapter_other", param="adapter", name=recipe.adapter)
    return digest
