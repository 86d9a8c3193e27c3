"""Uploaded pictures and masks to arrays; whatever cannot be one is refused in a sentence. Free of torch.

Legend: H rows, W columns, C channels red, green, blue.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP")
PIXELS = 16_000_000
_HALF = 128


class PixelsRefused(InputError):
    """An uploaded file is no picture that can be used."""


def decode_image(data: bytes, size: tuple[int, int], *, pixels: int = PIXELS) -> np.ndarray:
    """Return a picture as rgb_HWC uint8, turned upright as its EXIF says, laid on white, resized to (width, height).

    pixels: most that the file may hold, looked up in its header before anything is decoded. Raises PixelsRefused:
    image_format (not PNG, JPEG or WebP), image_broken, image_too_large, image_animated.
    """
    picture = _on_white(_opened(data, pixels, "image"))
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)


def decode_mask(data: bytes, like: bytes, size: tuple[int, int], *, pixels: int = PIXELS) -> np.ndarray:
    """Return where to paint as mask_HW bool, resized to (width, height).

    A mask with transparent places is painted there, as OpenAI's API has it; one without any is painted where white.
    like: the file of the picture that the mask lies on, of the same width and height. Raises PixelsRefused as
    decode_image does, and mask_size, mask_empty (nothing to paint).
    """
    mask, under = _opened(data, pixels, "mask"), _opened(like, pixels, "image")
    if mask.size != under.size:
        raise PixelsRefused(
            "mask_size",
            f"the mask has {mask.width}x{mask.height} pixels, and the image {under.width}x{under.height}: "
            "they must be equal",
        )
    paint = ImageOps.invert(mask.getchannel("A"))
    if paint.getextrema() == (0, 0):
        paint = mask.convert("RGB").convert("L")
    mask_HW = np.asarray(paint.resize(size, Image.Resampling.BOX)) >= _HALF
    if not mask_HW.any():
        raise PixelsRefused(
            "mask_empty", "the mask leaves nothing to paint: make it transparent or white somewhere"
        )
    return mask_HW


def _opened(data: bytes, pixels: int, what: str) -> Image.Image:
    """Return a decoded picture, upright, RGBA."""
    if not data:
        raise PixelsRefused("image_broken", f"the {what} is an empty file")
    _check_size(
        *(_webp_size(data) or (0, 0)), pixels, what
    )  # its reader takes memory before it tells the size
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(what, pixels) from None
    except UnidentifiedImageError:
        raise _unknown(data, what) from None
    except Exception as error:  # readers of broken files raise whatever they meet
        raise _broken(what) from error
    _check_size(*picture.size, pixels, what)
    if picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False):
        raise PixelsRefused("image_animated", f"the {what} is an animation: send one of its pictures")
    try:
        picture.load()
        return _rgba(_upright(picture))
    except Exception as error:
        raise _broken(what) from error


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a picture with broken notes is a picture still
        return picture


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode in (
        "I",
        "I;16",
        "I;16B",
        "I;16L",
    ):  # 16 bits of grey, which convert() would cut off at 255
        grey_HW = np.asarray(picture).astype(np.int64).clip(0, 65535)
        picture = Image.fromarray(((grey_HW + _HALF) // 257).astype(np.uint8))
    return picture.convert("RGBA")


def _on_white(picture: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _check_size(width: int, height: int, pixels: int, what: str) -> None:
    if width * height > pixels:
        raise _too_large(what, pixels, f"{width}x{height} pixels")


def _too_large(what: str, pixels: int, found: str = "far more") -> PixelsRefused:
    most = f"{pixels / 1e6:g} million pixels"
    return PixelsRefused(
        "image_too_large", f"the {what} has {found}; at most {most} are taken: make it smaller"
    )


def _broken(what: str) -> PixelsRefused:
    return PixelsRefused("image_broken", f"the {what} is broken or cut off: save it again")


def _unknown(data: bytes, what: str) -> PixelsRefused:
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
    if data.startswith(starts) and (not data.startswith(b"RIFF") or data[8:12] == b"WEBP"):
        return _broken(what)
    return PixelsRefused("image_format", f"the {what} is no PNG, JPEG or WebP: save it as one of these")


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP file by its first chunk (RFC 9649, sections 2.5 to 2.7), None for others."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
