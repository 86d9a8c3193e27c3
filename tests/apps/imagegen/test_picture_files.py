"""Pictures become files that sort in their order, beside a sheet and a list; other content is never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.picture_files import PictureFiles, file_name, mark_without_pictures
from apps.imagegen.pictures import Picture
from apps.imagegen.report.recipe_png import png_bytes


def picture(seed: int, *, attention: bytes | None = None) -> Picture:
    rgb_HWC, recipe = np.full((16, 16, 3), seed, np.uint8), Recipe("red apple", seed=seed)
    return Picture(rgb_HWC, recipe, png_bytes(rgb_HWC, recipe), attention_png=attention)


def test_each_picture_is_there_at_once_and_the_rest_at_the_end(tmp_path: Path) -> None:
    files = PictureFiles(tmp_path / "out", 2)
    first, second = picture(7, attention=b"maps"), picture(8)
    assert files.add(1, first).read_bytes() == first.png
    assert sorted(path.name for path in files.folder.iterdir()) == [
        "001_red-apple_seed-7.png", "001_red-apple_seed-7_attention.png",
    ]  # fmt: skip
    assert (files.folder / "001_red-apple_seed-7_attention.png").read_bytes() == b"maps"
    files.add(2, second)
    summary = files.finish()
    assert (summary.mark, summary.renamed) == ("", ())
    listed = json.loads((files.folder / "pictures.json").read_text("utf-8"))
    assert [Recipe.from_json(one["recipe"]) for one in listed] == [first.recipe, second.recipe]
    assert [one["file"] for one in listed] == ["001_red-apple_seed-7.png", "002_red-apple_seed-8.png"]


def test_the_pictures_of_a_prompt_are_a_row_of_the_sheet(tmp_path: Path) -> None:
    shapes = {}
    for n in (1, 2):
        files = PictureFiles(tmp_path / f"{n}", 4)
        for number in range(1, 5):
            files.add(number, picture(number))
        files.finish(n)
        with Image.open(files.folder / "sheet.png") as sheet:
            shapes[n] = sheet.size
    assert shapes[2][0] < shapes[1][0]
    assert shapes[2][1] > shapes[1][1]


def test_names_that_are_taken_carry_a_digest(tmp_path: Path) -> None:
    for name in ("001_red-apple_seed-7.png", "pictures.json"):
        (tmp_path / name).write_bytes(b"mine")
    files, drawn = PictureFiles(tmp_path, 1), picture(7)
    path = files.add(1, drawn)
    assert path.name == f"001_red-apple_seed-7_{drawn.recipe.mark}.png"
    summary = files.finish()
    assert len(summary.mark) == 8
    assert summary.renamed == (path.name, f"sheet_{summary.mark}.png", f"pictures_{summary.mark}.json")
    assert (tmp_path / "pictures.json").read_bytes() == b"mine"


def test_a_run_without_pictures_has_a_mark_where_others_lie(tmp_path: Path) -> None:
    assert mark_without_pictures(tmp_path) == ""
    (tmp_path / "sheet.png").write_bytes(b"of another run")
    assert len(mark_without_pictures(tmp_path)) == 8


def test_names_sort_in_the_order_of_the_pictures() -> None:
    names = [
        file_name(number, 12000, Recipe("Zebra" if number % 2 else "ant"))
        for number in (1, 9, 10, 999, 12000)
    ]
    assert names == sorted(names)
    assert file_name(1, 5, Recipe("../x", seed=3)) == "001_x_seed-3"
