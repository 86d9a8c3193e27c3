"""Files named beside a prompt are read once, at the size asked for, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import apps.imagegen.models.given as module
from apps.imagegen.models.given import given, read_file
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("model")))


def test_nothing_named_is_nothing_given(pipeline: Pipeline) -> None:
    files = given(pipeline, (32, 32))
    assert (files.image, files.mask, files.shelf, files.adapter) == (None, None, None, None)


def test_a_picture_and_its_mask_are_brought_to_size(pipeline: Pipeline, tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "a.png")
    mask = Image.new("L", (80, 40), 0)
    mask.paste(255, (40, 0, 80, 40))
    mask.save(tmp_path / "m.png")
    files = given(pipeline, (48, 32), image=str(tmp_path / "a.png"), mask=str(tmp_path / "m.png"))
    assert files.image is not None
    assert files.image.shape == (32, 48, 3)
    assert (files.image == (10, 200, 30)).all()
    assert files.mask is not None
    assert np.array_equal(files.mask, np.arange(48)[None] + np.zeros((32, 1)) >= 24)


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("none.safetensors", "adapter_unknown", "is no file: name a .safetensors file"),
        ("folder.safetensors", "adapter_unknown", "is no file: name a .safetensors file"),
        (
            "a.bin",
            "adapter_pickled",
            "is a pickle, which may run code when loaded: a .safetensors file is wanted",
        ),
        ("a.zip", "adapter_unreadable", "is of another kind: a .safetensors file is wanted"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    pipeline: Pipeline, tmp_path: Path, name: str, code: str, sentence: str
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    for other in ("a.bin", "a.zip", "a.safetensors"):
        (tmp_path / other).write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        given(pipeline, (32, 32), adapter=str(tmp_path / name))
    assert (caught.value.code, caught.value.sentence) == (code, f"adapter={tmp_path / name} {sentence}")


def test_a_broken_adapter_is_refused_before_anything_is_drawn(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"not one")
    with pytest.raises(InputError) as caught:
        given(pipeline, (32, 32), adapter=str(tmp_path / "a.safetensors"))
    assert caught.value.code == "adapter_unreadable"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_file(tmp_path / "a", "image") == b"abc"
    with pytest.raises(InputError, match=r"^mask=.*/b cannot be read: No such file or directory$"):
        read_file(tmp_path / "b", "mask")
    monkeypatch.setattr(module, "_LARGEST", 2)
    with pytest.raises(InputError, match=r"^image=.*/a has more than 0 MB: make it smaller$"):
        read_file(tmp_path / "a", "image")
