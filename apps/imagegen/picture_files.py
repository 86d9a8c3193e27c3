"""The files of pictures that were drawn, none of which replaces other content.

folder/
├── 001_red-apple_seed-7.png             each picture as soon as it is done
├── 001_red-apple_seed-7_attention.png   where attention was asked for
├── sheet.png                            the first 64 of them, with captions
└── pictures.json                        files and their recipes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.imagegen.data.new_files import mark_needed, write_new, write_together
from apps.imagegen.data.prompts import stem_of
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.pictures import Picture
from apps.imagegen.report.sheet import sheet_png
from core.runs.files import json_text, make_folder

_ON_SHEET = 64  # pictures
_COLUMNS = 8


@dataclass(frozen=True)
class Summary:
    """What `PictureFiles.finish` did. mark: digest in the names of sheet and list, "" where the plain ones were free.

    renamed: names of all files that carry a digest, since other content lies under the plain ones.
    """

    mark: str
    renamed: tuple[str, ...]


class PictureFiles:
    """A folder that takes pictures one by one, and at the end their contact sheet and their list.

    last: the highest number of a picture, which decides how many digits names have.
    Raises InputError output_unwritable.

    >>> import tempfile
    >>> from apps.imagegen import draw
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = PictureFiles(Path(folder), last=1)
    ...     [picture] = draw("red apple", seed=7, steps=2)
    ...     path = files.add(1, picture)
    ...     summary = files.finish()
    >>> path.name
    '001_red-apple_seed-7.png'
    """

    def __init__(self, folder: Path, last: int) -> None:
        self.folder = make_folder(folder)
        self._last = last
        self._shown: list[tuple[np.ndarray, str]] = []
        self._listed: list[dict[str, Any]] = []
        self._renamed: list[str] = []

    def add(self, number: int, picture: Picture) -> Path:
        """Write a picture, and its attention where that was asked for; return the path of the picture.

        Raises InputError output_taken, and OutputError output_unwritable and output_full.
        """
        recipe = picture.recipe
        name = file_name(number, self._last, recipe)
        path = write_picture(self.folder / f"{name}.png", picture.png, picture)
        if path.stem != name:
            self._renamed.append(path.name)
        self._listed.append({"file": path.name, "recipe": recipe.as_json()})
        if len(self._shown) < _ON_SHEET:
            self._shown.append((picture.rgb_HWC, f"{recipe.prompt}\nseed {recipe.seed}"))
        return path

    def finish(self, n: int = 1) -> Summary:
        """Write sheet.png, where a picture was added, and pictures.json.

        n: pictures of each prompt, which are a row of the sheet where they fit. Raises as `add` does.
        """
        sheet = None
        if self._shown:
            columns = n if 1 < n <= _COLUMNS and n < len(self._shown) else None
            rgbs, captions = zip(*self._shown, strict=True)
            sheet = sheet_png(rgbs, captions, columns)
        files: dict[str, bytes | None] = {
            "sheet.png": sheet,
            "pictures.json": json_text(self._listed).encode("utf-8", "backslashreplace"),
        }
        mark = mark_needed(self.folder, files)
        written = [path.name for path in write_together(self.folder, files)]
        return Summary(mark, (*self._renamed, *(name for name in written if name not in files)))


def mark_without_pictures(folder: Path) -> str:
    """Return the mark of a run that drew nothing: "" where no earlier run left a sheet or a list in the folder."""
    return mark_needed(folder, {"sheet.png": None, "pictures.json": None})


def file_name(number: int, last: int, recipe: Recipe) -> str:
    """Return the name of a picture's file, without ending: names of one run sort in its order and can be read.

    last: the highest number of the run.

    >>> file_name(1, 12, Recipe("Red apple!", seed=7))
    '001_red-apple_seed-7'
    """
    digits = max(3, len(str(last)))
    return f"{number:0{digits}d}_{stem_of(recipe.prompt)}_seed-{recipe.seed}"


def write_picture(path: Path, data: bytes, picture: Picture) -> Path:
    """Write a picture's file, and its attention where that was asked for; return the picture's path.

    data: the bytes of the file, in whichever format. Raises as `data.new_files.write_new` does.
    """
    mark = picture.recipe.mark
    written = write_new(path, data, mark)
    if picture.attention_png is not None:
        write_new(written.with_name(f"{written.stem}_attention.png"), picture.attention_png, mark)
    return written
