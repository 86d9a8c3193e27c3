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
from PIL import Image, ImageDraw

from apps.imagegen.data.pixels import decode_image, decode_mask, fit_note, nearest_size, upright_size
from apps.imagegen.errors import PictureError

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
    with pytest.raises(PictureError) as caught:
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
    result = decode_image(data, SIZE)
    assert (result.shape, result.dtype) == ((16, 24, 3), np.uint8)
    assert np.abs(result.astype(int) - np.asarray(picture()).astype(int))[:, [3, 20]].max() <= off


def test_grey_of_16_bits_is_scaled_not_cut_off() -> None:
    grey_HW = np.array([[0, 257 * 100], [32768, 65535]], dtype=np.uint16)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey_HW)
    result = decode_image(png_of(2, 2, depth=16, colour=0, lines=lines), (2, 2))
    assert result[:, :, 0].tolist() == [[0, 100], [128, 255]]


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
    result = decode_image(saved(picture(), "JPEG", exif=exif, quality=95), (16, 24))
    assert result[2, 8, 0] > 180, "what was left is on top"
    assert result[21, 8, 2] > 180


def test_broken_notes_do_not_spoil_a_picture() -> None:
    data = saved(picture(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(decode_image(data, SIZE), np.asarray(picture()))


def test_pictures_are_resized() -> None:
    result = decode_image(saved(picture(size=(240, 160))), SIZE)
    assert result.shape == (16, 24, 3)
    assert np.abs(result[:, 4].astype(int) - (220, 30, 30)).max() <= 1


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "image_empty", "an empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_format", "not a PNG, JPEG or WebP"),
        (saved(picture(), "GIF"), "image_format", "save it as one of these"),
        (saved(picture(), "TIFF"), "image_format", "not a PNG"),
        (saved(picture(), "BMP"), "image_format", "not a PNG"),
        (b"%PDF-1.7", "image_format", "not a PNG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "image_format", "not a PNG"),
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
    result = refused(data, pixels=10_000)
    assert result[0] == code
    assert words in result[1]


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
    for index, value in bytes_:
        broken[index % len(broken)] = value
    whole = bytes(broken[: end % (len(broken) + 1)] if end % 3 == 0 else broken)
    with contextlib.suppress(PictureError):  # the one error that may come
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
    with pytest.raises(PictureError, match="the mask has 10x16 pixels, and the image 24x16") as caught:
        decode_mask(saved(Image.new("L", (10, 16), 255)), saved(picture()), SIZE)
    assert caught.value.code == "mask_size"
    with pytest.raises(PictureError, match="leaves nothing to paint") as caught:
        decode_mask(saved(Image.new("L", SIZE, 0)), saved(picture()), SIZE)
    assert caught.value.code == "mask_empty"
    with pytest.raises(PictureError, match="the mask is not a PNG"):
        decode_mask(b"nothing", saved(picture()), SIZE)
    with pytest.raises(PictureError, match="the image is not a PNG"):
        decode_mask(saved(Image.new("L", SIZE, 255)), b"nothing", SIZE)


OFFERED = ((128, 128), (192, 128), (128, 192), (192, 192))


@pytest.mark.parametrize(
    ("own", "size"),
    [
        ((64, 64), (128, 128)),
        ((3000, 3000), (128, 128)),
        ((160, 120), (192, 128)),
        ((120, 160), (128, 192)),
        ((110, 100), (128, 128)),
        ((800, 100), (192, 128)),
    ],
)
def test_the_nearest_shape_is_taken(own: tuple[int, int], size: tuple[int, int]) -> None:
    assert nearest_size(own, OFFERED) == size


def test_a_circle_stays_a_circle() -> None:
    canvas = Image.new("RGB", (160, 80), "white")
    ImageDraw.Draw(canvas).ellipse((60, 20, 100, 60), fill="black")
    for fit, across in (("crop", 24), ("pad", 12)):
        result = decode_image(saved(canvas), (48, 48), fit=fit)
        dark_HW = result.max(axis=2) < 128
        assert abs(dark_HW.any(axis=0).sum() - across) <= 1
        assert abs(dark_HW.any(axis=1).sum() - across) <= 1
    stretched_HW = decode_image(saved(canvas), (48, 48), fit="stretch").max(axis=2) < 128
    assert stretched_HW.any(axis=1).sum() > 1.7 * stretched_HW.any(axis=0).sum()


def test_cut_off_is_the_same_on_both_sides_and_margins_are_white() -> None:
    wide = picture(size=(160, 80))
    cropped = decode_image(saved(wide), (48, 48), fit="crop")
    assert np.array_equal(cropped[0, :20], np.full((20, 3), (220, 30, 30)))
    assert np.array_equal(cropped[0, 28:], np.full((20, 3), (30, 30, 220)))
    padded = decode_image(saved(wide), (48, 48), fit="pad")
    assert (padded[:12] == 255).all()
    assert (padded[36:] == 255).all()
    assert (padded[14:34, 2] == (220, 30, 30)).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_the_wanted_shape_is_only_scaled(fit: str) -> None:
    image = Image.effect_noise((96, 64), 90).convert("RGB")
    expected = np.asarray(image.resize(SIZE, Image.Resampling.LANCZOS))
    assert np.array_equal(decode_image(saved(image), SIZE, fit=fit), expected)
    assert fit_note((96, 64), SIZE, fit) == ""


def test_a_turned_picture_is_upright_before_its_shape_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise shows it upright
    data = saved(picture(size=(120, 160)), "JPEG", quality=95, exif=exif)
    assert upright_size(data) == (160, 120)
    assert nearest_size(upright_size(data), OFFERED) == (192, 128)
    top, bottom = decode_image(data, (192, 128))[[5, 120], 96]
    assert top[0] > 150 > bottom[0], "what was left is above"


def test_a_mask_follows_its_picture() -> None:
    image, mask = picture(size=(160, 80)), Image.new("L", (160, 80), 0)
    mask.paste(255, (60, 20, 100, 60))
    result = {
        fit: decode_mask(saved(mask), saved(image), (48, 48), fit=fit) for fit in ("crop", "pad", "stretch")
    }
    rows = {fit: (mask_HW.any(axis=1).sum(), mask_HW.any(axis=0).sum()) for fit, mask_HW in result.items()}
    assert rows == {"crop": (24, 24), "pad": (12, 12), "stretch": (24, 12)}
    assert not result["pad"][:12].any(), "margins are not painted"
    everywhere = Image.new("L", (160, 80), 255)
    assert decode_mask(saved(everywhere), saved(image), (48, 48), fit="pad").sum() == 48 * 24


@pytest.mark.parametrize("size", [(5000, 2), (2, 5000), (1000, 60), (1, 100)])
def test_extreme_shapes_are_refused(size: tuple[int, int]) -> None:
    for fit in ("crop", "pad", "stretch"):
        code, sentence = refused(saved(Image.new("RGB", size)), fit=fit)
        assert code == "image_shape"
        assert f"the image has {size[0]}x{size[1]} pixels, of which hardly anything fits" in sentence


def test_what_is_lost_is_reported() -> None:
    assert fit_note((160, 80), (48, 48), "crop") == (
        "the image of 160x80 pixels is brought to 48x48: 50 % of it are cut off; fit=pad keeps all of it"
    )
    assert fit_note((160, 80), (48, 48), "pad").endswith("50 % of the picture are white margins")
    assert fit_note((160, 80), (48, 48), "stretch").endswith("its shape is changed")
