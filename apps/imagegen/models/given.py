"""The files that a command names beside its prompts: a picture to start from, a mask, an adapter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from apps.imagegen.config import FITS
from apps.imagegen.data.pixels import (
    PIXELS,
    decode_image,
    decode_mask,
    fit_note,
    nearest_size,
    upright_size,
)
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.adapter_file import SUFFIX
from apps.imagegen.models.adapters import PEFT_FILE, AdapterCache
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import sha256_of
from apps.imagegen.reasons import ADAPTER, INPUT

_PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_LARGEST = 256 * 2**20  # bytes of a picture's file


@dataclass(frozen=True, eq=False)
class Given:
    """What was named, ready for the engine. image: rgb_HWC uint8. mask: mask_HW bool. adapter: a name of `adapters`.

    note: what was not taken as it is, "" where all was.
    """

    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    adapters: AdapterCache | None = None
    adapter: str | None = None
    note: str = ""


def given(
    pipeline: Pipeline,
    recipe: Recipe,
    *,
    image: bytes | None = None,
    mask: bytes | None = None,
    adapter: str | None = None,
    fit: str = "crop",
) -> Given:
    """Decode image and mask, and read the adapter. recipe: of whole size, which pictures are brought to by `fit`.

    image, mask: bytes of files. adapter: path of a file, or of a folder as peft saves one.

    Raises PictureError and AdapterError as pixels and adapters do, and adapter_missing or adapter_suffix where there is
    no adapter's file.
    """
    image_HWC = mask_HW = None
    note = ""
    if image is not None:
        image_HWC, mask_HW, note = brought(image, mask, recipe, fit)
    if adapter is None:
        return Given(image_HWC, mask_HW, note=note)
    path = Path(adapter)
    if path.is_dir() and (path / PEFT_FILE).is_file():  # a folder as peft saves an adapter
        path = path / PEFT_FILE
    if not path.is_file():
        raise ADAPTER("adapter_missing", param="adapter", path=adapter, suffix=SUFFIX)
    if path.suffix in _PICKLES:
        raise ADAPTER("adapter_pickled", param="adapter", name=adapter)
    if path.suffix != SUFFIX:
        raise ADAPTER("adapter_suffix", param="adapter", path=adapter, suffix=SUFFIX)
    adapters = AdapterCache(path.parent, pipeline)
    notes = [one for one in (note, adapters.note(path.stem)) if one]
    return Given(image_HWC, mask_HW, adapters, path.stem, "; ".join(notes))


def brought(
    image: bytes, mask: bytes | None, recipe: Recipe, fit: str, pixels: int = PIXELS
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Return a picture and its mask at a recipe's size, and a sentence on what that changed of the picture.

    The picture as rgb_HWC uint8, the mask as mask_HW bool; the sentence is "" where nothing was changed. A recipe that
    says which picture it starts from was drawn by some fit: the one that gives its bytes is taken. pixels: most that a
    file may have. Raises PictureError as `decode_image` and `decode_mask` do.
    """
    size = recipe.width, recipe.height
    fits = [fit] if recipe.image_sha256 is None else [fit, *(one for one in FITS if one != fit)]
    for each in fits:
        image_HWC = decode_image(image, size, fit=each, pixels=pixels)
        if sha256_of(image_HWC) == recipe.image_sha256:
            fit = each
            break
    else:
        image_HWC = decode_image(image, size, fit=fit, pixels=pixels)
    mask_HW = None if mask is None else decode_mask(mask, image, size, fit=fit, pixels=pixels)
    return image_HWC, mask_HW, fit_note(upright_size(image, pixels=pixels), size, fit)


def whole_size(pipeline: Pipeline, recipe: Recipe, image: bytes | None, pixels: int = PIXELS) -> Recipe:
    """Return a recipe with a size: its own, else the one nearest to the shape of the picture that it starts from."""
    if image is None or (recipe.width, recipe.height) != (0, 0):
        return recipe
    width, height = nearest_size(upright_size(image, pixels=pixels), pipeline.limits.sizes)
    return replace(recipe, width=width, height=height)


def read_file(path: Path, field: str) -> bytes:
    """Return a file's bytes. field: of the command line that names it.

    Raises InputError: input_missing, input_too_large.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise INPUT("input_too_large", field=field, path=path, most=_LARGEST // 2**20)
        return path.read_bytes()
    except OSError as error:
        raise INPUT("input_missing", field=field, path=path, cause=error.strerror) from error
