"""Results that are never replaced by other content, whatever is drawn into their folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import apps.imagegen.generate as module
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.report.recipe_png import recipe_of
from core.errors import InputError
from core.runs.folder import Run
from tests.apps.imagegen.models.lora import write
from tests.apps.imagegen.tiny import tiny_pipeline

NAME = "001_red-apple_seed-7.png"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("model")))


@pytest.fixture(autouse=True)
def loaded_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_pipeline", lambda folder, device: pipeline)


def _generate(folder: Path, **fields: Any) -> int:
    asked = {"prompt": "red apple", "steps": 1, "seed": 7, **fields}
    record = Run(folder / "run")
    with record.log:
        cfg = ImagegenConfig("generate", output=str(folder / "out"), model=ModelConfig(device="cpu"), **asked)
        return module.run(cfg, record)


def _bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted((folder / "out").rglob("*")) if path.is_file())
    return {str(path.relative_to(folder / "out")): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 2},
        {"guidance": 2.0},
        {"size": "48x32"},
        {"scheduler": "euler"},
        {"negative": "blue"},
        {"prompt": "Red, apple!"},
        {"adapter": "a.safetensors"},
        {"image": "start.png"},
        {"n": 2},
        {"prompts": "p.txt", "prompt": None},
    ],
)
def test_a_second_command_replaces_nothing(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.txt").write_text("red apple\nblue car\n\x07\n")
    write(tmp_path / "a.safetensors", pipeline.unet, 1)
    Image.new("RGB", (32, 32), "red").save("start.png")
    _generate(tmp_path)
    before = _bytes(tmp_path)
    assert list(before) == [NAME, "pictures.json", "sheet.png"]
    assert capfd.readouterr().err == ""
    _generate(tmp_path, **change)
    both = _bytes(tmp_path)
    assert {name: both[name] for name in before} == before
    added = sorted(both.keys() - before.keys())
    assert any(name.startswith("pictures_") for name in added)
    if "n" not in change and "prompts" not in change:
        mark = recipe_of(both[added[0]]).mark
        assert added[0] == f"001_red-apple_seed-7_{mark}.png"
        assert (
            "3 files carry a digest in their names, since output= holds other results"
            in capfd.readouterr().err
        )
    for fields in ({}, change):
        _generate(tmp_path, **fields)
        assert _bytes(tmp_path) == both


def test_adapters_whose_names_give_one_name_are_kept_apart(pipeline: Pipeline, tmp_path: Path) -> None:
    for seed, folder in enumerate(("one", "two", "three")):
        path = write(tmp_path / folder / "sketch.safetensors", pipeline.unet, seed + 1)
        _generate(tmp_path, adapter=str(path))
        pictures = [name for name in _bytes(tmp_path) if name.startswith("001")]
        assert len(pictures) == seed + 1


def test_what_was_refused_before_stays_where_nothing_is_refused_now(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_text("red apple\n\x07\n")
    assert _generate(tmp_path, prompt=None, prompts=str(tmp_path / "p.txt")) == 4
    before = _bytes(tmp_path)
    assert "quarantine/line-0002.json" in before
    (tmp_path / "p.txt").write_text("red apple\nblue car\n")
    assert _generate(tmp_path, prompt=None, prompts=str(tmp_path / "p.txt")) == 0
    both = _bytes(tmp_path)
    assert {name: both[name] for name in before} == before
    added = both.keys() - before.keys()
    assert sorted(name[:6] for name in added) == ["002_bl", "pictur", "sheet_"]
    assert not any(name.startswith("quarantine") for name in added)


def test_prompts_that_are_refused_beside_other_results_are_set_aside_apart(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    assert _generate(tmp_path) == 0
    before = _bytes(tmp_path)
    (tmp_path / "p.txt").write_text("blue car\n\x07\n")
    for _ in range(2):
        assert _generate(tmp_path, prompt=None, prompts=str(tmp_path / "p.txt")) == 4
    both = _bytes(tmp_path)
    assert {name: both[name] for name in before} == before
    (aside,) = (name for name in both if name.endswith("/line-0002.json"))
    (summary,) = (name for name in both.keys() - before.keys() if name.startswith("pictures"))
    assert aside == f"quarantine{summary.removeprefix('pictures').removesuffix('.json')}/line-0002.json"


def test_a_file_of_somebody_else_is_kept_and_a_taken_digest_is_refused(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_bytes(b"mine")
    (tmp_path / "out" / "sheet.png").mkdir()
    _generate(tmp_path)
    (marked,) = (
        name
        for name in (path.name for path in (tmp_path / "out").iterdir())
        if name.startswith("001") and name != NAME
    )
    assert (tmp_path / "out" / NAME).read_bytes() == b"mine"
    (tmp_path / "out" / marked).write_bytes(b"mine too")
    with pytest.raises(InputError, match="holds other files named") as caught:
        _generate(tmp_path)
    assert caught.value.code == "output_taken"
    assert (tmp_path / "out" / marked).read_bytes() == b"mine too"
