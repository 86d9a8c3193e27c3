"""Uploaded pictures and masks to arrays; whatever cannot be one is refused in a sentence. Free of torch.

Legend: H rows, W columns, C channels red, green, blue.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from apps.imagegen.errors import PictureError
from apps.imagegen.reasons import PICTURE

FORMATS = ("PNG", "JPEG", "WEBP")
PIXELS = 16_000_000
_HALF = 128
_UNSEEN = 0.5  # percent of a picture
_LEAST_LEFT = 1 / 8  # of a picture, or of the size that it is brought to


def upright_size(data: bytes, *, pixels: int = PIXELS) -> tuple[int, int]:
    """Return width and height of a picture's file, turned upright as its EXIF says. Raises as decode_image does."""
    return _opened(data, pixels, "image").size


def nearest_size(own: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return which of the sizes (width, height) has the shape nearest to a picture's; of equal ones the first."""
    return min(sizes, key=lambda size: round(abs(math.log(_stretch(own, size))), 9))


def decode_image(
    data: bytes, size: tuple[int, int], *, fit: str = "crop", pixels: int = PIXELS
) -> np.ndarray:
    """Return a picture as rgb_HWC uint8, turned upright as its EXIF says, laid on white, brought to (width, height).

    fit: of config.FITS: crop fills the size and cuts off what is too much on both sides, pad shows all of the picture
    between white margins, stretch changes its shape. pixels: most that the file may hold, read from its header
    before anything is decoded. Raises PictureError: image_format (not PNG, JPEG or WebP), image_empty, image_broken,
    image_too_large, image_animated, image_shape (hardly anything of it would be left).
    """
    picture = _on_white(_opened(data, pixels, "image"))
    _check_shape(picture.size, size)
    return np.asarray(_placed(picture, size, fit, Image.Resampling.LANCZOS, "white"), dtype=np.uint8)


def decode_mask(
    data: bytes, like: bytes, size: tuple[int, int], *, fit: str = "crop", pixels: int = PIXELS
) -> np.ndarray:
    """Return where to paint as mask_HW bool, brought to (width, height) as its picture is: margins are not painted.

    A mask with transparent areas is painted there, as OpenAI's API has it; one without any is painted where white.
    like: the file of the picture that the mask lies on, of the same width and height. Raises PictureError as
    decode_image does, and mask_size, mask_empty (nothing to paint).
    """
    mask, under = _opened(data, pixels, "mask"), _opened(like, pixels, "image")
    if mask.size != under.size:
        own, image = (f"{one.width}x{one.height}" for one in (mask, under))
        raise PICTURE("mask_size", param="mask", own=own, image=image)
    paint = ImageOps.invert(mask.getchannel("A"))
    if paint.getextrema() == (0, 0):
        paint = mask.convert("RGB").convert("L")
    _check_shape(mask.size, size)
    mask_HW = np.asarray(_placed(paint, size, fit, Image.Resampling.BOX, 0)) >= _HALF
    if not mask_HW.any():
        raise PICTURE("mask_empty", param="mask")
    return mask_HW


def fit_note(own: tuple[int, int], size: tuple[int, int], fit: str) -> str:
    """Return a sentence on what bringing a picture of (width, height) to a size changed, "" where hardly anything."""
    ratio = _stretch(own, size)
    lost = 100.0 * (1.0 - min(ratio, 1.0 / ratio))
    if lost < _UNSEEN:
        return ""
    what = {
        "crop": f"{lost:.0f} % of it are cut off; fit=pad keeps all of it",
        "pad": f"{lost:.0f} % of the picture are white margins",
        "stretch": "its shape is changed",
    }
    return f"the image of {own[0]}x{own[1]} pixels is brought to {size[0]}x{size[1]}: {what[fit]}"


def _stretch(own: tuple[int, int], size: tuple[int, int]) -> float:
    """Return how many times as wide as a size of the same height a picture is."""
    return own[0] * size[1] / (own[1] * size[0])


def _check_shape(own: tuple[int, int], size: tuple[int, int]) -> None:
    ratio = _stretch(own, size)
    if min(ratio, 1.0 / ratio) < _LEAST_LEFT:
        into = f"{size[0]}x{size[1]}"
        raise PICTURE("image_shape", param="image", width=own[0], height=own[1], into=into)


def _placed(
    picture: Image.Image, size: tuple[int, int], fit: str, resampling: Image.Resampling, margin: str | int
) -> Image.Image:
    """Return a picture at a size, its middle in the middle."""
    if fit == "stretch":
        return picture.resize(size, resampling)
    factors = size[0] / picture.width, size[1] / picture.height
    if fit == "crop":
        factor = max(factors)
        wide, high = (max(side, round(own * factor)) for side, own in zip(size, picture.size, strict=True))
        left, top = (wide - size[0]) // 2, (high - size[1]) // 2
        whole = picture.resize((wide, high), resampling)
        return whole.crop((left, top, left + size[0], top + size[1]))
    factor = min(factors)
    wide, high = (
        min(side, max(1, round(own * factor))) for side, own in zip(size, picture.size, strict=True)
    )
    paper = Image.new(picture.mode, size, margin)
    paper.paste(picture.resize((wide, high), resampling), ((size[0] - wide) // 2, (size[1] - high) // 2))
    return paper


def _opened(data: bytes, pixels: int, param: str) -> Image.Image:
    """Return a decoded picture, upright, RGBA."""
    if not data:
        raise PICTURE("image_empty", param=param)
    # the reader of WebP takes memory before it says the size
    _check_size(*(_webp_size(data) or (0, 0)), pixels, param)
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(param, pixels, f"more than {Image.MAX_IMAGE_PIXELS}") from None
    except UnidentifiedImageError:
        raise PICTURE("image_broken" if _cut_off(data) else "image_format", param=param) from None
    except Exception as error:  # readers of broken files raise whatever they meet
        raise PICTURE("image_broken", param=param) from error
    _check_size(*picture.size, pixels, param)
    if picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False):
        raise PICTURE("image_animated", param=param)
    try:
        picture.load()
        return _rgba(_upright(picture))
    except Exception as error:
        raise PICTURE("image_broken", param=param) from error


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


def _check_size(width: int, height: int, pixels: int, param: str) -> None:
    if width * height > pixels:
        raise _too_large(param, pixels, f"{width}x{height}")


def _too_large(param: str, most: int, pixels: str) -> PictureError:
    return PICTURE("image_too_large", param=param, pixels=pixels, most=most / 1e6)


def _cut_off(data: bytes) -> bool:
    """Return whether a file that no reader knows starts as a PNG, JPEG or WebP does."""
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
    return data.startswith(starts) and (not data.startswith(b"RIFF") or data[8:12] == b"WEBP")


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
