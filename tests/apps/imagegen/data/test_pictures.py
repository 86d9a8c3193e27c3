from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.imagegen.data.pictures import (
    HELD_OUT,
    TRAIN,
    PictureSet,
    everyday_prompts,
    load_pictures,
    owner_of,
    split_of,
)
from tests.apps.imagegen import packages_made


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PictureSet:
    packages_made.put(monkeypatch, tmp_path)
    return load_pictures(tmp_path, 16)


def test_flags_and_what_was_never_drawn_are_left_out(pictures: PictureSet) -> None:
    plain = [one.name for one in pictures.pictures if one.plain]
    assert plain == [
        "red apple",
        "sport utility vehicle",
        "sun",
        "red heart",
        "waving hand",
        "judge",
        "man judge",
    ]
    assert pictures.rgb_NHWC.shape == (len(pictures.pictures), 16, 16, 3)
    assert pictures.rgb_NHWC.dtype == np.uint8


def test_pictures_stand_on_white_beside_their_words(pictures: PictureSet) -> None:
    by_code = {one.code: rgb for one, rgb in zip(pictures.pictures, pictures.rgb_NHWC, strict=True)}
    assert (by_code["1F34E"][0, 0] == 255).all()
    red, green, blue = by_code["1F34E"][8, 8].astype(int)
    assert red > green + 100
    assert red > blue + 100
    red, green, blue = by_code["1F34E+blue"][8, 8].astype(int)
    assert blue > red + 100


def test_what_a_second_load_gives_is_the_same(
    pictures: PictureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = load_pictures(tmp_path, 16)
    assert again.pictures == pictures.pictures
    assert (again.rgb_NHWC == pictures.rgb_NHWC).all()


def test_variants_share_the_weight_of_their_picture(pictures: PictureSet) -> None:
    apples = [one for one in pictures.pictures if one.owner == "red apple"]
    assert [one.code for one in apples][:2] == ["1F34E", "1F34E+orange"]
    assert sum(one.weight for one in apples) == pytest.approx(3 * 1.3), (
        "everyday things are taught three times"
    )
    hands = [one for one in pictures.pictures if one.owner == "waving hand"]
    assert [one.plain for one in hands] == [True, False]
    assert hands[1].captions[0].text == "waving hand, dark skin tone"


def test_one_owner_lies_on_one_side(pictures: PictureSet) -> None:
    sides: dict[str, set[str]] = {}
    for one in pictures.pictures:
        sides.setdefault(one.owner, set()).add(one.split)
    assert len(sides) == 6
    assert all(len(result) == 1 for result in sides.values())
    assert {one.owner for one in pictures.pictures if "judge" in one.name} == {"judge"}


def test_parts_are_the_sides_of_the_split(pictures: PictureSet) -> None:
    sides = [pictures.part(TRAIN), pictures.part(HELD_OUT)]
    assert sum(len(side.pictures) for side in sides) == len(pictures.pictures)
    assert all(len(side.pictures) == len(side.rgb_NHWC) for side in sides)
    assert all(one.plain for one in pictures.part(TRAIN, plain=True).pictures)


def test_about_a_tenth_of_owners_is_held_out() -> None:
    held_out = sum(split_of(f"thing {n}") == HELD_OUT for n in range(2000))
    assert 150 < held_out < 250


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("man judge", "judge"),
        ("Woman Judge: dark skin tone", "judge"),
        ("woman", "person"),
        ("red apple", "red apple"),
    ],
)
def test_owners(name: str, owner: str) -> None:
    assert owner_of(name) == owner


def test_everyday_prompts_name_32_different_pictures_that_are_trained_on(pictures: PictureSet) -> None:
    rows = everyday_prompts()
    assert len({row["prompt"] for row in rows}) == len({row["picture"] for row in rows}) == 32
    shown = {row["picture"] for row in rows}
    trained = {one.code for one in pictures.part(TRAIN).pictures}
    assert {"1F34E", "1F699"} <= shown & trained
