"""What a training cost, read from its run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from apps.nodule.train import save_compact
from benchmarks.nodule.training import measure_training, training_rounds
from tests.benchmarks.nodule.small import detector

EVENTS = [
    {"time": 0.0, "event": "started"},
    {"time": 5.0, "event": "training_set", "items": 29, "count": 698},
    {"time": 60.0, "event": "train", "step": 20, "loss": 5.0, "seconds": 3.0},
    {"time": 120.0, "event": "train", "step": 40, "loss": 4.0, "seconds": 3.0},
    {"time": 130.0, "event": "mined", "count": 7},
    {"time": 190.0, "event": "train", "step": 30, "loss": 3.00004, "seconds": 2.0},
]


def test_a_round_ends_where_steps_begin_anew() -> None:
    assert training_rounds(EVENTS) == [
        {"steps": 40, "minutes": 2.0, "loss": 4.0},
        {"steps": 30, "minutes": 1.0, "loss": 3.0},
    ]
    assert training_rounds([]) == []


def test_a_run_folder_tells_what_it_cost(tmp_path: Path) -> None:
    trainer = {"max_steps": 70, "batch_size": 8, "learning_rate": 0.001, "precision": "bf16", "devices": 1}
    config = {"seed": 4, "data": {"source": "mixed", "phantoms": 24}, "trainer": trainer}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "provenance.json").write_text(json.dumps({"device": {"cpu": "x"}, "git": None}))
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    save_compact(detector().net, tmp_path / "compact.safetensors", {})
    record = measure_training(tmp_path)
    assert (record["steps"], record["minutes"], record["data"]) == (70, 3.0, "mixed")
    assert (record["lungs"], record["nodules"], record["phantoms"]) == (29, 698, 24)
    assert record["minutes_in_all"] == pytest.approx(3.2)
    assert record["trainer"] == {k: v for k, v in trainer.items() if k != "devices"}
    assert record["trained_on"] == {"cpu": "x"}
    assert record["parameters"] > 1_000_000
    assert record["headline"] == {"steps": "70", "minutes": "3", "precision": "bf16"}
