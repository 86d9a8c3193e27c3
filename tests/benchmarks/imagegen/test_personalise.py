"""The measurement of another style, small: made packages, a pipeline that knows nothing, a network of mean colours."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from apps.imagegen.data.packages import Package
from apps.imagegen.data.pictures import TRAIN, Picture, PictureSet
from benchmarks.imagegen import personalise
from core.errors import InputError
from tests.apps.imagegen import packages_made
from tests.apps.imagegen.tiny import tiny_pipeline

COUNT = 9


class MeanColours:
    def features(self, rgb_NHWC: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rgb_NHWC.mean(axis=(1, 2)) / 255.0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {}
    for number in range(COUNT):
        Image.new("RGBA", (64, 64), (200, 10 * number, 0, 255)).save(tmp_path / "one.png")
        files[f"img/google/64/{number:04x}{'-fe0f' if number == 3 else ''}.png"] = (
            tmp_path / "one.png"
        ).read_bytes()
    data = packages_made.archive(files)
    package = Package("@made/other", "1.0.0", "MIT", base64.b64encode(hashlib.sha512(data).digest()).decode())
    (tmp_path / package.archive).write_bytes(data)
    pictures = [
        Picture(f"{number:04X}", f"thing {number}", f"{number}", TRAIN, 1.0, (), plain=True)
        for number in range(COUNT + 1)
    ]
    own = PictureSet(tuple(pictures), np.full((COUNT + 1, 32, 32, 3), 90, np.uint8))
    monkeypatch.setattr(personalise, "OTHER_STYLE", package)
    monkeypatch.setattr(personalise, "load_pictures", lambda cache, edge: own)
    monkeypatch.setattr(personalise, "load_inception", lambda cache: MeanColours())
    return tmp_path


def test_a_small_measurement_from_end_to_end(cache: Path, tmp_path: Path) -> None:
    model, output = tiny_pipeline(tmp_path / "model"), tmp_path / "output"
    record = personalise.run(str(cache), str(model), "5", "4", "2", "2", str(output))
    json.dumps(record, allow_nan=False)
    assert record["adapter"]["steps"] == "2"
    assert record["bytes"] == (output / "flat-style.safetensors").stat().st_size
    assert {name: sorted(result) for name, result in record["kid_1000"].items()} == {
        "other style": ["after", "before", "other style, learned", "own style"],
        "own style": ["other style", "plain after", "plain before"],
    }
    result = record["kid_1000"]["other style"]
    assert all(lower <= value <= upper for value, lower, upper in result.values())
    assert result["own style"][0] > result["other style, learned"][0]
    assert record["headline"]["kid_to_style_after"] == result["after"][0]
    assert record["headline"]["nearer_to_style_after"] == record["nearer_to_other_style"]["after"]
    assert record["names"] == 4
    for sheet in ("learned.png", "styles.png", "flat-style.png"):
        with Image.open(output / sheet) as picture:
            assert picture.width > 500


def test_a_picture_is_nearer_to_the_style_that_it_resembles() -> None:
    own, other = np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([[0.0, 1.0], [0.1, 1.0]])
    mixed = np.stack([own[0], 5.0 * other[1]])
    sets = {"before": own, "after": mixed, "plain before": own, "plain after": other}
    result = personalise.nearer_of({**sets, "own style": own, "other style": other})
    assert result == {"before": 0.0, "after": 0.5, "plain before": 0.0, "plain after": 1.0}


def test_names_that_both_sets_have_are_compared(cache: Path) -> None:
    own, other_NHWC = personalise.both_styles(cache, (32, 32))
    assert [one.name for one in own.pictures] == [f"thing {number}" for number in range(COUNT)]
    assert other_NHWC[:, 0, 0].tolist() == [[200, 10 * number, 0] for number in range(COUNT)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"learned": "0"}, "learned is '0', wanted a whole number above 0"),
        ({"measured": "x"}, "measured is 'x', wanted a whole number above 0"),
        ({"measured": "9"}, r"both sets share 9 names; learned \+ measured are 14"),
    ],
)
def test_sizes_that_cannot_be_measured_are_reported(
    cache: Path, tmp_path: Path, words: dict[str, str], sentence: str
) -> None:
    model = tiny_pipeline(tmp_path / "model")
    with pytest.raises(InputError, match=sentence):
        personalise.run(**{"cache": str(cache), "model": str(model), "learned": "5", **words})
