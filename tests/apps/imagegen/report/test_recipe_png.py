"""What goes into a PNG comes out of it, other readers find it too, and no file harms its reader."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.report.recipe_png import KEY, PARAMETERS, parameters, pixels_of, png_bytes, recipe_of
from core.errors import InputError

RGB = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
RECIPE = Recipe("red apple", seed=7, width=6, height=8, model="a" * 64)
FULL = replace(
    RECIPE,
    negative="blurry, dark",
    scheduler="euler_a",
    guidance=7.5,
    strength=0.7,
    image_sha256="b" * 64,
    adapter="sketch",
    adapter_scale=0.8,
    adapter_digest="c" * 64,
)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=50)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*chunks: bytes, width: int = 1, height: int = 1) -> bytes:
    """A PNG of grey pixels, one if its size is left alone, with chunks before the pixels."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rest = _chunk(b"IDAT", zlib.compress(b"\0\0")) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + rest


def _itxt(key: str, text: bytes, *, packed: bool) -> bytes:
    body = zlib.compress(text) if packed else text
    return _chunk(b"iTXt", key.encode() + b"\0" + bytes([packed]) + b"\0\0\0" + body)


def test_the_pixels_are_untouched_and_the_bytes_the_same_each_time() -> None:
    data = png_bytes(RGB, RECIPE)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), RGB)
    assert hashlib.sha256(png_bytes(RGB.copy(), RECIPE)).digest() == hashlib.sha256(data).digest()
    assert png_bytes(RGB, replace(RECIPE, seed=8)) != data


@pytest.mark.parametrize("recipe", [RECIPE, FULL, replace(RECIPE, prompt="红苹果 🍎 \u202e", seed=2**63 - 1)])
def test_the_recipe_comes_out_as_it_went_in(recipe: Recipe) -> None:
    assert recipe_of(png_bytes(RGB, recipe)) == recipe


@given(prompt=TEXT, negative=TEXT, guidance=st.floats(0, 30), seed=st.integers(0, 2**63 - 1))
def test_any_recipe_comes_out_as_it_went_in(prompt: str, negative: str, guidance: float, seed: int) -> None:
    recipe = replace(RECIPE, prompt=prompt, negative=negative, guidance=guidance, seed=seed)
    assert recipe_of(png_bytes(RGB[:1, :1], recipe)) == recipe


def test_galleries_find_what_they_look_for() -> None:
    """Form: modules/infotext_utils.py of AUTOMATIC1111/stable-diffusion-webui, whose pattern reads the last line."""
    text = Image.open(io.BytesIO(png_bytes(RGB, FULL))).info[PARAMETERS]
    assert text == (
        "red apple <lora:sketch:0.8>\nNegative prompt: blurry, dark\nSteps: 25, Sampler: Euler a, CFG scale: 7.5, "
        'Seed: 7, Size: 6x8, Model hash: aaaaaaaaaa, Denoising strength: 0.7, Lora hashes: "sketch: cccccccccccc"'
    )
    pattern = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    result = dict(pattern.findall(text.splitlines()[-1]))
    assert list(result) == [
        "Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Denoising strength", "Lora hashes",
    ]  # fmt: skip
    assert parameters(Recipe("cat")) == "cat\nSteps: 25, Sampler: DDIM, CFG scale: 4, Seed: 0, Size: 0x0"


def test_names_of_another_script_reach_other_readers_too() -> None:
    info = Image.open(io.BytesIO(png_bytes(RGB, replace(RECIPE, prompt="红苹果")))).info
    assert info[PARAMETERS].startswith("红苹果\nSteps: 25")
    assert json.loads(info[KEY])["prompt"] == "红苹果"


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (
            _png(),
            "recipe_missing",
            "the PNG holds no recipe: it was not made here, or another program saved it anew",
        ),
        (b"", "recipe_file_type", "the file is not a PNG, JPEG or WebP, so it holds no recipe"),
        (
            b"GIF89a" + bytes(100),
            "recipe_file_type",
            "the file is not a PNG, JPEG or WebP, so it holds no recipe",
        ),
    ],
)
def test_a_file_without_a_recipe_is_refused(data: bytes, code: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe_of(data)
    assert (caught.value.code, caught.value.sentence) == (code, sentence)


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (
            _png(_itxt(KEY, b"{", packed=False)),
            "recipe_unreadable",
            "the recipe in the PNG cannot be read: the file is damaged",
        ),
        (
            _png(_itxt(KEY, b"[" * 100_000, packed=True)),
            "recipe_unreadable",
            "the recipe in the PNG cannot be read: the file is damaged",
        ),
        (
            _png(_itxt(KEY, b" " * 300_000, packed=True)),
            "recipe_too_long",
            "the recipe has 300000 characters: it was not made here",
        ),
        (
            _png(_itxt(KEY, bytes(20_000_000), packed=True)),
            "recipe_file_broken",
            "the PNG is broken, or made to harm its readers",
        ),
        (
            _png(_itxt("x", bytes(20_000_000), packed=True)),
            "recipe_file_broken",
            "the PNG is broken, or made to harm its readers",
        ),
        (png_bytes(RGB, RECIPE)[:90], "recipe_file_broken", "the PNG is broken, or made to harm its readers"),
        (
            _png(width=2**31 - 1, height=2**31 - 1),
            "recipe_file_broken",
            "the PNG is broken, or made to harm its readers",
        ),
        (
            _png(_itxt(KEY, b"[]", packed=False)),
            "recipe_not_object",
            "this is not a recipe: a JSON object with 'format' is wanted",
        ),
    ],
)
def test_a_broken_or_hostile_file_is_refused_in_one_line(data: bytes, code: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe_of(data)
    assert (caught.value.code, caught.value.sentence) == (code, sentence)


def test_a_recipe_of_another_release_is_reported_so() -> None:
    info = PngInfo()
    info.add_itxt(KEY, json.dumps({**RECIPE.as_json(), "format": 2}))
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, format="PNG", pnginfo=info)
    with pytest.raises(InputError, match=r"format 2, and format 1 is wanted: use the release that wrote it"):
        recipe_of(stream.getvalue())


def test_pixels_can_be_had_and_a_cut_off_file_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png_bytes(RGB, RECIPE)
    assert np.array_equal(pixels_of(data), RGB)
    with pytest.raises(InputError, match="the PNG is broken, or made to harm its readers"):
        pixels_of(data[:-40])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InputError, match="a picture of 20000x20000 was not made here"):
        pixels_of(_png(width=20_000, height=20_000))
