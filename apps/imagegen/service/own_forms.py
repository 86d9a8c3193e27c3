"""The service's own API on the wire: requests to draw and to replay, and their events.
from core.serving.forms import read_form, shown

Events, in the order in which they come: accepted (id of the work, recipes), then for each picture step, preview,
and one of done, failed, cancelled; end closes the stream. Pictures in events are PNG files as base64. A seed is also
given as a text, since numbers above 2^53 do not survive in every client.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from apps.imagegen.data.recipe import Limits, Recipe
from apps.imagegen.reasons import RECIPE
from apps.imagegen.service.forms import Defaults, DrawingForm, Upload, recipe_of_form
from apps.imagegen.service.reasons import FIELD
from core.serving.forms import read_form, shown

PREVIEWS = 20  # the most of one picture
KEEP_S = 60.0


class OwnForm(DrawingForm):
    """Fields of a request to draw; files come beside them."""

    previews: int = 4
    """Previews of each image while it is drawn, 0 to 20."""
    keep: float = 0.0
    """Seconds for which drawing goes on after the client has disconnected, 0 to 60."""


class ReplayForm(BaseModel):
    """A replay has files alone: what is drawn stands in the picture's recipe."""


def read_request(
    values: Mapping[str, Any], upload: Upload, *, defaults: Defaults, strict: bool = True
) -> tuple[Recipe, int, int, float]:
    """Return the recipe of the first picture, how many are wanted, how many previews, and for how long to keep them.

    Raises ServiceError 400.
    """
    form = read_form(OwnForm, values, strict=strict)
    if not 0 <= form.previews <= PREVIEWS:
        raise FIELD("previews_range", param="previews", value=shown(form.previews), most=PREVIEWS)
    if not 0 <= form.keep <= KEEP_S:
        raise FIELD("keep_range", param="keep", value=shown(form.keep), most=KEEP_S)
    return recipe_of_form(form, defaults, upload), form.n, form.previews, form.keep


def check_replay(recipe: Recipe, upload: Upload) -> None:
    """Check that the pictures that a recipe needs were sent, and no others.

    Raises RecipeError (image_missing, mask_missing), ServiceError 400 (image_unwanted, mask_unwanted).
    """
    if recipe.image_sha256 is not None and upload.image is None:
        raise RECIPE("image_missing", param="image")
    if recipe.mask_sha256 is not None and upload.mask is None:
        raise RECIPE("mask_missing", param="mask")
    if recipe.image_sha256 is None and upload.image is not None:
        raise FIELD("image_unwanted", param="image")
    if recipe.mask_sha256 is None and upload.mask is not None:
        raise FIELD("mask_unwanted", param="mask")


def model_info(
    name: str,
    digest: str,
    limits: Limits,
    adapters: Mapping[str, str],
    defaults: Defaults,
    upload_pixels: int,
    cautions: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a client needs to know of the model: sizes, ranges, defaults. adapters: name → digest."""
    return {
        "name": name,
        "digest": digest,
        "notes": list(cautions),
        "sizes": [f"{width}x{height}" for width, height in limits.sizes],
        "schedulers": list(limits.schedulers),
        "adapters": [{"name": each, "digest": mark} for each, mark in adapters.items()],
        "limits": {
            "pictures": defaults.pictures,
            "prompt_chars": limits.prompt_chars,
            "text_chunks": limits.text_chunks,
            "steps": list(limits.steps),
            "guidance": list(limits.guidance),
            "adapter_scale": list(limits.adapter_scale),
            "previews": PREVIEWS,
            "upload_pixels": upload_pixels,
        },
        "defaults": {
            "steps": defaults.steps,
            "guidance": defaults.guidance,
            "scheduler": defaults.scheduler,
            "strength": defaults.strength,
            "fit": defaults.fit,
        },
    }


def accepted(work: str, recipes: Sequence[Recipe], notes: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """Return the event that opens a stream. notes: sentences on what is not done as asked."""
    shown = [recipe.as_json() for recipe in recipes]
    return "accepted", {"id": work, "recipes": shown, "notes": list(notes)}


def step(image: int, number: int, of: int) -> tuple[str, dict[str, Any]]:
    """Return the event of a denoising step of one picture."""
    return "step", {"image": image, "step": number, "steps": of}


def preview(image: int, number: int, of: int, png: bytes) -> tuple[str, dict[str, Any]]:
    """Return the event of a picture that is not finished."""
    return "preview", {"image": image, "step": number, "steps": of, "png": _base64(png)}


def done(image: int, png: bytes, recipe: Recipe, seconds: float) -> tuple[str, dict[str, Any]]:
    """Return the event of a finished picture, with the SHA-256 of its file."""
    return "done", {
        "image": image,
        "png": _base64(png),
        "sha256": hashlib.sha256(png).hexdigest(),
        "recipe": recipe.as_json(),
        "seed": str(recipe.seed),
        "seconds": round(seconds, 3),
    }


def failed(image: int, code: str, sentence: str) -> tuple[str, dict[str, Any]]:
    """Return the event of a picture that could not be drawn."""
    return "failed", {"image": image, "code": code, "message": sentence}


def cancelled(image: int) -> tuple[str, dict[str, Any]]:
    """Return the event of a picture that was cancelled."""
    return "cancelled", {"image": image}


def end(drawn: int) -> tuple[str, dict[str, Any]]:
    """Return the event that closes a stream. drawn: pictures finished."""
    return "end", {"drawn": drawn}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
