from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from apps.imagegen.data.pixels import PixelsRefused, decode_image, decode_mask

SIZE = (24, 16)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    width, height = size
    rgb_HWC = np.zeros((height, width, 3), dtype=np.uint8)
    rgb_HWC[:, : width // 2] = (220, 30, 30)
    rgb_HWC[:, width // 2 :] = (30, 30, 220)
    return Image.fromarray(rgb_HWC).convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def png_of(width: int, height: int, depth: int = 8, colour: int = 2, lines: bytes = b"") -> bytes:
    """A PNG by hand: PNG specification, third edition, section 5."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def refused(data: bytes, **words: Any) -> tuple[str, str]:
    with pytest.raises(PixelsRefused) as caught:
        decode_image(data, SIZE, **words)
    assert caught.value.sentence.isprintable()
    return caught.value.code, caught.value.sentence


@pytest.mark.parametrize(
    ("data", "off"),
    [
        (saved(picture()), 0),
        (saved(picture("P")), 40),  # the web palette has its own red
        (saved(picture("RGBA")), 0),
        (saved(picture(), "JPEG", quality=95), 12),
        (saved(picture("CMYK"), "JPEG", quality=95), 16),
        (saved(picture(), "WEBP", lossless=True), 0),
        (saved(picture(), "WEBP", quality=95), 40),
        (saved(picture(), "JPEG", quality=95, progressive=True), 12),
    ],
    ids=["png", "palette", "rgba", "jpeg", "cmyk", "webp lossless", "webp", "progressive"],
)
def test_each_format_gives_the_same_picture(data: bytes, off: int) -> None:
    found = decode_image(data, SIZE)
    assert (found.shape, found.dtype) == ((16, 24, 3), np.uint8)
    assert np.abs(found.astype(int) - np.asarray(picture()).astype(int))[:, [3, 20]].max() <= off


def test_grey_of_16_bits_is_scaled_not_cut_off() -> None:
    grey_HW = np.array([[0, 257 * 100], [32768, 65535]], dtype=np.uint16)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey_HW)
    found = decode_image(png_of(2, 2, depth=16, colour=0, lines=lines), (2, 2))
    assert found[:, :, 0].tolist() == [[0, 100], [128, 255]]


def test_what_is_transparent_lies_on_white() -> None:
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((1, 0), (200, 0, 0, 255))
    assert decode_image(saved(half), (2, 1)).tolist() == [[[255, 255, 255], [200, 0, 0]]]
    palette = half.convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (
        decode_image(saved(palette, transparency=palette.getpixel((0, 0))), (2, 1))[0, 0].tolist()
        == [255] * 3
    )
    assert decode_image(saved(half.convert("LA")), (2, 1))[0, 0].tolist() == [255] * 3


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF 2.3, tag Orientation: the camera was turned; upright is a quarter clockwise
    found = decode_image(saved(picture(), "JPEG", exif=exif, quality=95), (16, 24))
    assert found[2, 8, 0] > 180, "what was left is on top"
    assert found[21, 8, 2] > 180


def test_broken_notes_do_not_spoil_a_picture() -> None:
    data = saved(picture(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(decode_image(data, SIZE), np.asarray(picture()))


def test_pictures_are_resized() -> None:
    found = decode_image(saved(picture(size=(240, 160))), SIZE)
    assert found.shape == (16, 24, 3)
    assert np.abs(found[:, 4].astype(int) - (220, 30, 30)).max() <= 1


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "image_broken", "an empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_format", "no PNG, JPEG or WebP"),
        (saved(picture(), "GIF"), "image_format", "save it as one of these"),
        (saved(picture(), "TIFF"), "image_format", "no PNG"),
        (saved(picture(), "BMP"), "image_format", "no PNG"),
        (b"%PDF-1.7", "image_format", "no PNG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "image_format", "no PNG"),
        (saved(picture())[:60], "image_broken", "broken or cut off"),
        (saved(picture(size=(96, 96)), "JPEG")[:660], "image_broken", "broken or cut off"),
        (saved(picture(), "WEBP")[:-20], "image_broken", "broken or cut off"),
        (b"\x89PNG\r\n\x1a\n", "image_broken", "broken"),
        (b"\xff\xd8\xff\xe0", "image_broken", "broken"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8X", "image_broken", "broken"),
        (saved(picture(size=(101, 100))), "image_too_large", "has 101x100 pixels; at most 0.01 million"),
        (png_of(50_000, 50_000), "image_too_large", "the image has"),
        (png_of(12_000, 9_000), "image_too_large", "the image has"),
        (png_of(2**31 - 1, 2**31 - 1), "image_too_large", "the image has"),
        (
            b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\xfe\x3f\0\xfe\x3f\0" + b"ANIM" + b"\0" * 10,
            "image_too_large",
            "16383x16383",
        ),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(data: bytes, code: str, words: str) -> None:
    found = refused(data, pixels=10_000)
    assert found[0] == code
    assert words in found[1]


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    lines = zlib.compress(b"\0" * 4_000_000)
    bomb = png_of(30_000, 30_000, lines=lines)
    assert len(bomb) < 10_000, "a small file"
    assert refused(bomb)[0] == "image_too_large"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    data = saved(picture(), kind, save_all=True, append_images=[picture().rotate(180)], duration=100)
    assert refused(data) == ("image_animated", "the image is an animation: send one of its pictures")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [saved(picture()), saved(picture(), "JPEG"), saved(picture(), "WEBP"), saved(picture("P"))]
    ),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 10**4),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::UserWarning")
def test_random_damage_gives_a_picture_or_a_reason(
    data: bytes, bytes_: list[tuple[int, int]], end: int
) -> None:
    broken = bytearray(data)
    for place, value in bytes_:
        broken[place % len(broken)] = value
    whole = bytes(broken[: end % (len(broken) + 1)] if end % 3 == 0 else broken)
    with contextlib.suppress(PixelsRefused):  # the one error that may come
        assert decode_image(whole, SIZE).shape == (16, 24, 3)


def test_white_or_transparent_places_are_painted() -> None:
    white = Image.new("L", SIZE, 0)
    white.paste(255, (0, 0, 12, 16))
    open_ = Image.new("RGBA", SIZE, (255, 255, 255, 255))
    open_.paste((0, 0, 0, 0), (0, 0, 12, 16))
    for mask in (saved(white), saved(open_), saved(white.convert("RGB"), "JPEG", quality=100)):
        paint_HW = decode_mask(mask, saved(picture()), SIZE)
        assert (paint_HW.shape, paint_HW.dtype) == ((16, 24), bool)
        assert paint_HW[:, :11].all()
        assert not paint_HW[:, 13:].any()


def test_a_mask_follows_its_picture_to_another_size() -> None:
    white = Image.new("L", (48, 32), 0)
    white.paste(255, (0, 0, 24, 32))
    paint_HW = decode_mask(saved(white), saved(picture(size=(48, 32))), SIZE)
    assert np.array_equal(paint_HW, np.arange(24)[None, :].repeat(16, axis=0) < 12)


def test_a_mask_of_another_size_or_with_nothing_to_paint_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="the mask has 10x16 pixels, and the image 24x16") as caught:
        decode_mask(saved(Image.new("L", (10, 16), 255)), saved(picture()), SIZE)
    assert caught.value.code == "mask_size"
    with pytest.raises(PixelsRefused, match="leaves nothing to paint") as caught:
        decode_mask(saved(Image.new("L", SIZE, 0)), saved(picture()), SIZE)
    assert caught.value.code == "mask_empty"
    with pytest.raises(PixelsRefused, match="the mask is no PNG"):
        decode_mask(b"nothing", saved(picture()), SIZE)
    with pytest.raises(PixelsRefused, match="the image is no PNG"):
        decode_mask(saved(Image.new("L", SIZE, 255)), b"nothing", SIZE)
