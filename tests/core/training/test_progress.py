from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from core.runs.log import RunLog
from core.training.progress import LATEST, TrainingProgress
from tests.core.training.toy import Toy, settings, train


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stepper:
    """What the callback asks a Trainer for, step by step."""

    def __init__(self) -> None:
        self.global_step = 0
        self.is_global_zero = True
        self.optimizers = [SimpleNamespace(param_groups=[{"lr": 0.25}])]


def walk(watch: TrainingProgress, losses: list[float], stepper: Any, *, begin: bool = True) -> None:
    module = Toy(settings())
    if begin:
        watch.on_train_start(stepper, module)
    for loss in losses:
        stepper.global_step += 1
        watch.on_train_batch_end(stepper, module, {"loss": torch.tensor(loss)}, None, 0)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_every_so_many_steps_with_the_mean_since_the_last(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        watch, stepper = TrainingProgress(settings(max_steps=6), log), Stepper()
        walk(watch, [1.0, 3.0, 5.0, 6.0, 7.0], stepper)
        watch.on_train_end(stepper, Toy(settings()))
    result = lines(tmp_path / "log.jsonl")
    assert [(line["step"], line["loss"]) for line in result] == [(2, 2.0), (4, 5.5), (5, 7.0)]
    assert all(line["learning_rate"] == 0.25 and line["seconds"] >= 0 for line in result)
    assert watch.loss == pytest.approx(4.4)


def test_nothing_is_logged_twice(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        watch, stepper = TrainingProgress(settings(max_steps=2), log), Stepper()
        walk(watch, [1.0, 2.0], stepper)
        watch.on_train_end(stepper, Toy(settings()))
    assert [line["event"] for line in lines(tmp_path / "log.jsonl")] == ["train"]


def test_a_checkpoint_keeps_the_sums(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        first, stepper = TrainingProgress(settings(max_steps=9), log), Stepper()
        walk(first, [1.0, 3.0, 5.0], stepper)
        kept = json.loads(json.dumps(first.state_dict()))  # numbers only
        second = TrainingProgress(settings(max_steps=9), log)
        second.load_state_dict(kept)
        walk(second, [6.0], stepper)
    assert [(line["step"], line["loss"]) for line in lines(tmp_path / "log.jsonl")] == [(2, 2.0), (4, 5.5)]
    assert second.loss == pytest.approx(3.75)
    assert second.seconds >= kept["seconds"] > 0


def test_the_final_loss_is_that_of_the_last_hundred_steps(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        watch = TrainingProgress(settings(max_steps=1000), log)
        assert watch.loss is None
        walk(watch, [9.0] * 30 + [1.0] * LATEST, Stepper())
    assert watch.loss == 1.0


def test_a_bar_where_a_person_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "__stderr__", terminal)
    train(tmp_path, max_steps=3)
    assert "training" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_the_bar_goes_away_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "__stderr__", terminal)
    with RunLog(tmp_path / "log.jsonl") as log:
        watch, stepper = TrainingProgress(settings(), log), Stepper()
        walk(watch, [1.0], stepper)
        assert watch._bar is not None
        watch.on_exception(pl.Trainer(logger=False), Toy(settings()), KeyError())
        assert watch._bar is None
