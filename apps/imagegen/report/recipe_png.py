"""A picture that can replay itself: a PNG with its whole recipe in text chunks (PNG 3rd edition, section 11.3.2).

"triptych" holds the recipe as JSON; "parameters" says the same in the form of AUTOMATIC1111's web UI, which galleries
read. Legend: H rows, W columns, C red, green, blue.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.reasons import REPLAY
from core.errors import InputError

KEY, PARAMETERS, COMMENT = "triptych", "parameters", "Comment"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSION = 6
_LONGEST = 256 * 1024  # characters of a recipe; two texts of 2,000 signs, all escaped, take 50 thousand
_PIXELS = 256_000_000
# Names of the same schedulers there (modules/sd_samplers_*.py in its repository); it has none for the rest.
_SAMPLERS = {
    "ddim": "DDIM",
    "euler": "Euler",
    "euler_a": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "unipc": "UniPC",
}


def png_bytes(rgb_HWC: np.ndarray, recipe: Recipe, notes: Sequence[str] = ()) -> bytes:
    """Return a picture (uint8) and its recipe as PNG; the same input gives the same bytes.

    notes: what a person should know of how the recipe was followed.
    """
    info = PngInfo()
    info.add_itxt(KEY, json.dumps(recipe.as_json(), sort_keys=True, ensure_ascii=False, allow_nan=False))
    info.add_text(PARAMETERS, parameters(recipe))  # as iTXt where Latin-1 does not do, as its readers expect
    if notes and recipe.text_chunks > 1:  # pictures of earlier releases, which read one chunk, say nothing
        info.add_text(COMMENT, "; ".join(notes))
    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(stream, format="PNG", compress_level=_COMPRESSION, pnginfo=info)
    return stream.getvalue()


def recipe_of(data: bytes) -> Recipe:
    """Return the recipe inside a PNG file.

    Raises InputError: recipe_missing, recipe_too_long, recipe_unreadable, those of `opened` and of Recipe.from_json.
    Nothing is decoded but the chunks before the pixels, and of these at most Pillow's limit (1 MB of text each).
    """
    text = _text(data)
    if text is None:
        raise REPLAY("recipe_missing", type="PNG")
    if len(text) > _LONGEST:
        raise REPLAY("recipe_too_long", characters=len(text))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise REPLAY("recipe_unreadable", type="PNG") from None
    return Recipe.from_json(content)


def pixels_of(data: bytes) -> np.ndarray:
    """Return a PNG's pixels, rgb_HWC uint8. Raises InputError as `opened` does."""
    with opened(data) as picture:
        return np.asarray(picture.convert("RGB"))


def parameters(recipe: Recipe) -> str:
    """Return a recipe as AUTOMATIC1111's web UI writes it below its pictures ("infotext")."""
    pairs = [
        ("Steps", str(recipe.steps)),
        ("Sampler", _SAMPLERS.get(recipe.scheduler, recipe.scheduler)),
        ("CFG scale", f"{recipe.guidance:g}"),
        ("Seed", str(recipe.seed)),
        ("Size", f"{recipe.width}x{recipe.height}"),
    ]
    if recipe.model:
        pairs.append(("Model hash", recipe.model[:10]))
    if recipe.strength is not None:
        pairs.append(("Denoising strength", f"{recipe.strength:g}"))
    if recipe.adapter is not None:
        pairs.append(("Lora hashes", f"{recipe.adapter}: {(recipe.adapter_digest or '')[:12]}"))
    words = recipe.prompt
    if recipe.adapter is not None:
        words += f" <lora:{recipe.adapter}:{recipe.adapter_scale:g}>"
    lines = [words, *([f"Negative prompt: {recipe.negative}"] if recipe.negative else [])]
    return "\n".join([*lines, ", ".join(f"{name}: {_quoted(value)}" for name, value in pairs)])


def _quoted(value: str) -> str:
    """Quote what holds a separator, as the web UI does."""
    return json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ",\n:") else value


def _text(data: bytes) -> str | None:
    """Return the text of our chunk, None where there is none."""
    with opened(data) as picture:
        text = picture.info.get(KEY)
    return text if isinstance(text, str) else None


@contextlib.contextmanager
def opened(data: bytes, kind: str = "PNG") -> Iterator[Image.Image]:
    """Give a picture of that format to the block.

    Raises InputError: recipe_file_type, recipe_file_too_large, recipe_file_broken.
    """
    if kind == "PNG" and not data.startswith(_SIGNATURE):
        raise REPLAY("recipe_file_type")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as picture:
            if picture.width * picture.height > _PIXELS:
                raise REPLAY("recipe_file_too_large", width=picture.width, height=picture.height)
            yield picture
    except InputError:
        raise
    # readers of broken files raise whatever they meet; Pillow's limits, ValueError
    except Exception as error:
        raise REPLAY("recipe_file_broken", type=kind) from error
