"""A manifest says what is in its folder, and is believed only where it can be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.export.manifest import NAME, read_manifest, write_manifest
from tests.core.export.exported import exported


def copy_with(tmp_path: Path, **changes: Any) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(exported(), folder)
    content = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps({**content, **changes}))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(exported())
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert (tmp_path / NAME).read_bytes() == (exported() / NAME).read_bytes()


def test_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no manifest\.json: name a folder that stage=export made"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 2}, "is a manifest of version 2; this program reads version 1"),
        ({"app": 3}, "app: Input should be a valid string"),
        ({"spell": 3}, "spell: Unexpected keyword argument"),
        ({"artifacts": [{"network": "x"}]}, "artifacts.0"),
    ],
)
def test_a_manifest_of_another_form_is_refused(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as raised:
        read_manifest(copy_with(tmp_path, **changes))
    assert sentence in raised.value.sentence
    assert "\n" not in raised.value.sentence


def test_text_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"{")
    with pytest.raises(InputError, match="is not a manifest of stage=export: Invalid JSON"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("outside", ["../secret", "/etc/passwd", "onnx/../../secret", "link/secret"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, outside: str) -> None:
    folder = copy_with(tmp_path)
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path)
    content = json.loads((folder / NAME).read_text())
    content["artifacts"][0]["files"][0]["path"] = outside
    (folder / NAME).write_text(json.dumps(content))
    with pytest.raises(InputError, match="which lies outside its folder"):
        read_manifest(folder)
