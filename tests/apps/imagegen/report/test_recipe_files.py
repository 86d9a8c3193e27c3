"""Recipes in PNG, JPEG and WebP: what goes in comes out, and a file is packed again as it was."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.report.recipe_files import file_bytes, pixels_of, recipe_of, same_kind
from apps.imagegen.report.transparent import on_transparent
from core.errors import InputError

RECIPE = Recipe("red apple", seed=7, width=32, height=32, steps=3, model="a" * 64, text_chunks=1)
RGB_HWC = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
KINDS = ("PNG", "JPEG", "WEBP")
HARD = '<a> & "b" </triptych:recipe> \u4e2d \U0001f34e \ufffe \n\t --> ' + "\U0001f34e" * 1900


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", ["red apple", HARD])
def test_a_recipe_survives_each_format(kind: str, prompt: str) -> None:
    recipe = replace(RECIPE, prompt=prompt, negative=prompt)
    data = file_bytes(RGB_HWC, recipe, kind=kind, quality=80)
    assert recipe_of(data) == recipe
    assert data == file_bytes(RGB_HWC, recipe, kind=kind, quality=80)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == kind
        comment = picture.getexif().get_ifd(0x8769).get(0x9286, b"")
    if kind != "PNG":
        assert comment.startswith(b"UNICODE\0")
        assert comment[8:].decode("utf-16-be").startswith(prompt[:40])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quality", [1, 100])
def test_a_picture_drawn_again_is_packed_as_its_source_was(kind: str, quality: int) -> None:
    source = file_bytes(RGB_HWC, RECIPE, kind=kind, quality=quality)
    assert same_kind(source, RGB_HWC, RECIPE, ()) == source
    assert np.array_equal(pixels_of(source), pixels_of(same_kind(source, RGB_HWC, RECIPE, ())))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_transparent_source_is_made_again_too(kind: str) -> None:
    white_HWC = np.full((32, 32, 3), 255, np.uint8)
    white_HWC[8:24, 8:24] = (200, 0, 0)
    clear_HWC = on_transparent(white_HWC)
    assert clear_HWC is not None
    source = file_bytes(clear_HWC, RECIPE, kind=kind)
    assert same_kind(source, white_HWC, RECIPE, ()) == source


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_a_recipe_is_reported(kind: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(RGB_HWC).save(stream, format=kind)
    with pytest.raises(InputError, match=f"the {kind} holds no recipe: it was not made here") as caught:
        recipe_of(stream.getvalue())
    assert caught.value.code == "recipe_missing"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_damaged_recipe_is_reported(kind: str) -> None:
    data = file_bytes(RGB_HWC, RECIPE, kind=kind)
    with pytest.raises(InputError, match=f"the recipe in the {kind} cannot be read"):
        recipe_of(data.replace(b'"triptych": {', b'"triptych": ['))
    for broken in (data[:30], data[:200]):
        with pytest.raises(InputError) as caught:
            recipe_of(broken)
        assert caught.value.code in ("recipe_missing", "recipe_file_broken")
    with pytest.raises(InputError, match="not a PNG, JPEG or WebP"):
        recipe_of(b"GIF89a")
