from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from core.runs.files import write_json
from core.runs.folder import INHERITED, SETTINGS, Run, is_helper, open_run, process_rank


@pytest.mark.slow
def test_a_run_without_a_name_gets_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [open_run("nodule", "train", None, "stage: train\n", 1) for _ in range(3)]
    paths = [run.path for run in runs]
    for run in runs:
        run.close()
    assert len(set(paths)) == 3
    for path in paths:
        assert re.fullmatch(r"runs/nodule/train/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d)?", str(path))
        assert (path / "config.yaml").read_text() == "stage: train\n"
        assert json.loads((path / "provenance.json").read_text())["seed"] == 1


def test_an_old_folder_is_used_again(tmp_path: Path) -> None:
    first = open_run("nodule", "evaluate", str(tmp_path / "mine"), "a: 1\n", None)
    first.log.event("started")
    first.close()
    second = open_run("nodule", "evaluate", str(tmp_path / "mine"), "a: 2\n", None)
    second.log.event("started")
    second.close()
    assert (second.path / "config.yaml").read_text() == "a: 2\n"
    assert len((second.path / "log.jsonl").read_text().splitlines()) == 2


def _trained(folder: Path) -> Path:
    """Return a run folder as a finished training leaves it."""
    run = open_run("nodule", "train", str(folder), "a: 1\n", 1)
    held = {"stage": "train", "settings": {}, "steps": {}, "sources": {}}
    write_json(folder / SETTINGS, held)
    (folder / "checkpoints" / "part").mkdir()
    (folder / "checkpoints" / "part" / "last.ckpt").write_bytes(b"x")
    run.write_metrics({"loss": 1})
    run.close()
    return folder


def test_the_records_of_a_training_stay_until_another_one_trains(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = _trained(tmp_path / "mine")
    names = ("config.yaml", "provenance.json", "metrics.json")
    before = {name: (folder / name).read_bytes() for name in names}
    run = open_run("nodule", "train", str(folder), "a: 2\n", 2)
    run.write_metrics({"loss": 2})
    assert {name: (folder / name).read_bytes() for name in names} == before
    said = f"triptych-nodule: {folder} held this training already, finished: nothing was trained, its records stay"
    assert capfd.readouterr().err == f"{said}\n"
    run.record()
    assert (folder / "config.yaml").read_text() == "a: 2\n"
    assert json.loads((folder / "provenance.json").read_text())["seed"] == 2
    assert not (folder / "metrics.json").exists()  # they were of the training before
    run.write_metrics({"loss": 2})
    run.close()
    assert json.loads((folder / "metrics.json").read_text()) == {"loss": 2}
    assert capfd.readouterr().err == ""


def test_another_stage_does_not_take_the_folder_of_a_training(tmp_path: Path) -> None:
    folder = _trained(tmp_path / "mine")
    with pytest.raises(
        ConfigError, match="holds the record of stage=train: name another run_dir for stage=eval"
    ):
        open_run("nodule", "evaluate", str(folder), "a: 2\n", None)
    assert (folder / "config.yaml").read_text() == "a: 1\n"


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"stage": "train"}',
        b'{"stage":"train","settings":{},"steps":{},"sources":{"a":1}}',
    ],
)
def test_checkpoints_of_unknown_settings_are_refused(tmp_path: Path, content: bytes | None) -> None:
    folder = _trained(tmp_path / "mine")
    (folder / SETTINGS).unlink()
    if content is not None:
        (folder / SETTINGS).write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"settings\.json, which says how .* is missing or damaged: name another"
    ):
        open_run("nodule", "train", str(folder), "a: 2\n", None)
    assert (folder / "config.yaml").read_text() == "a: 1\n"


def test_settings_without_a_checkpoint_bind_nobody(tmp_path: Path) -> None:
    folder = _trained(tmp_path / "mine")
    (folder / "checkpoints" / "part" / "last.ckpt").unlink()
    open_run("nodule", "train", str(folder), "a: 2\n", None).close()
    assert (folder / "config.yaml").read_text() == "a: 2\n"


def test_metrics_are_written(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_metrics({"cpm": 0.5})
    run.close()
    assert json.loads((run.path / "metrics.json").read_text()) == {"cpm": 0.5}


def test_a_child_process_shares_the_folder_and_writes_only_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = open_run("nodule", "train", None, "a: 1\n", None)
    assert os.environ[INHERITED] == str(first.path.absolute())
    monkeypatch.setenv("LOCAL_RANK", "1")
    child = open_run("nodule", "train", None, "b: 2\n", None)
    child.write_metrics({"wrong": 1})
    child.log.event("started", count=1)
    assert child.path == first.path.absolute()
    assert (first.path / "config.yaml").read_text() == "a: 1\n"
    assert sorted(x.name for x in first.path.iterdir()) == [
        "config.yaml",
        "log.jsonl",
        "log.rank1.jsonl",
        "provenance.json",
    ]
    first.close()
    child.close()


def test_processes_of_torchrun_need_a_named_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="several processes need one run folder: add run_dir=FOLDER"):
        open_run("nodule", "train", None, "", None)
    open_run("nodule", "train", str(tmp_path), "", None).close()


def test_the_rank_is_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_rank() == 0
    for name, rank in (("LOCAL_RANK", 1), ("SLURM_PROCID", 2), ("RANK", 3)):
        monkeypatch.setenv(name, str(rank))
        assert process_rank() == rank


def test_a_helper_is_what_lightning_starts_beside_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_helper()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not is_helper()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert is_helper()
    monkeypatch.setenv("RANK", "1")  # of torchrun, which wants to know how each process ended
    assert not is_helper()


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="runs/nodule/train lies below a file, not a folder"):
        open_run("nodule", "train", None, "", None)
