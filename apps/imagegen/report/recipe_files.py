"""Pictures as PNG, JPEG or WebP, each with its recipe inside, and the recipe out of them.

JPEG and WebP keep it as JSON in an XMP packet (ISO 16684-1), with the quality they were packed by, so that a replay
makes the same bytes; EXIF's UserComment says it in the form of AUTOMATIC1111's web UI, which galleries read.
Legend: H rows, W columns, C red, green, blue, and alpha where the background is transparent.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.reasons import REPLAY
from apps.imagegen.report import recipe_png
from apps.imagegen.report.recipe_png import COMMENT, KEY, parameters, png_bytes
from apps.imagegen.report.transparent import on_transparent

_SPACE = "https://triptych.invalid/ns/recipe/1.0/"  # names our field; nothing is there
_PACKET = re.compile(rb"<triptych:recipe>(.*?)</triptych:recipe>", re.DOTALL)
_STARTS = {"JPEG": b"\xff\xd8\xff", "WEBP": b"RIFF"}
_EXIF, _USER_COMMENT = 0x8769, 0x9286  # tags of EXIF 2.32


def file_bytes(
    rgb_HWC: np.ndarray, recipe: Recipe, notes: Sequence[str] = (), *, kind: str = "PNG", quality: int = 100
) -> bytes:
    """Return a picture (uint8) as a file with its recipe; the same input gives the same bytes.

    kind: PNG, JPEG or WEBP. quality: of the latter two, 1..100.
    """
    if kind == "PNG":
        return png_bytes(rgb_HWC, recipe, notes)
    metadata: dict[str, Any] = {KEY: recipe.as_json(), "quality": quality}
    if notes and recipe.text_chunks > 1:
        metadata[COMMENT] = "; ".join(notes)
    exif = Image.Exif()
    exif.get_ifd(_EXIF)[_USER_COMMENT] = b"UNICODE\0" + parameters(recipe).encode("utf-16-be", "replace")
    stream = io.BytesIO()
    Image.fromarray(rgb_HWC).save(
        stream,
        format=kind,
        quality=quality,
        exif=exif.tobytes(),
        xmp=_packet(json.dumps(metadata, sort_keys=True)),
    )
    return stream.getvalue()


def recipe_of(data: bytes) -> Recipe:
    """Return the recipe inside a PNG, JPEG or WebP file. Raises InputError as `recipe_png.recipe_of` does."""
    kind = _kind_of(data)
    if kind is None:
        return recipe_png.recipe_of(data)
    return Recipe.from_json(_metadata(data, kind)[KEY])


def same_kind(source: bytes, rgb_HWC: np.ndarray, recipe: Recipe, notes: Sequence[str]) -> bytes:
    """Return a picture drawn again as a file packed as the source is. Raises InputError as recipe_of does."""
    kind = _kind_of(source)
    with Image.open(io.BytesIO(source)) as picture:
        clear = picture.mode == "RGBA"
    shown = on_transparent(rgb_HWC) if clear else rgb_HWC
    quality = 100 if kind is None else int(_metadata(source, kind)["quality"])
    return file_bytes(rgb_HWC if shown is None else shown, recipe, notes, kind=kind or "PNG", quality=quality)


def pixels_of(data: bytes) -> np.ndarray:
    """Return a file's pixels, rgb_HWC uint8. Raises InputError as `recipe_png.opened` does."""
    kind = _kind_of(data)
    if kind is None:
        return recipe_png.pixels_of(data)
    with recipe_png.opened(data, kind) as picture:
        return np.asarray(picture.convert("RGB"))


def _kind_of(data: bytes) -> str | None:
    return next((kind for kind, start in _STARTS.items() if data.startswith(start)), None)


def _metadata(data: bytes, kind: str) -> dict[str, Any]:
    """Return what the XMP packet of a file holds: recipe and quality."""
    with recipe_png.opened(data, kind) as picture:
        packet = picture.info.get("xmp")
    match = _PACKET.search(packet) if isinstance(packet, bytes) else None
    if match is None:
        raise REPLAY("recipe_missing", type=kind)
    try:
        metadata = json.loads(html.unescape(match[1].decode("ascii")))
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or KEY not in metadata or metadata.get("quality") not in range(1, 101):
        raise REPLAY("recipe_unreadable", type=kind)
    return metadata


def _packet(text: str) -> bytes:
    """Return an XMP packet; `text` is JSON in ASCII."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:triptych="{_SPACE}">'
        f"<triptych:recipe>{html.escape(text, quote=False)}</triptych:recipe>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode("ascii")
