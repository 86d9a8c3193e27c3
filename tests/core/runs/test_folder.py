from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from core.errors import InputError
from core.runs.folder import INHERITED, Run, open_run, process_rank


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


def test_an_old_folder_is_taken_up_again(tmp_path: Path) -> None:
    first = open_run("nodule", "train", str(tmp_path / "mine"), "a: 1\n", None)
    (first.checkpoints_dir / "last.ckpt").write_text("kept")
    first.log.event("started")
    first.close()
    second = open_run("nodule", "train", str(tmp_path / "mine"), "a: 2\n", None)
    second.log.event("started")
    second.close()
    assert (second.checkpoints_dir / "last.ckpt").read_text() == "kept"
    assert (second.path / "config.yaml").read_text() == "a: 2\n"
    assert len((second.path / "log.jsonl").read_text().splitlines()) == 2


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
    child.log.event("started", rank=1)
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


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="runs/nodule/train lies below a file, not a folder"):
        open_run("nodule", "train", None, "", None)
