"""What a training cost, read from its run folder, and the command that repeats it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from apps.nodule.train import save_compact
from benchmarks.nodule.training import EXPERIMENT, command_of, measure_training
from tests.benchmarks.nodule.small import detector

TRAINER = {"max_steps": 70, "batch_size": 8, "learning_rate": 0.001, "precision": "bf16", "devices": 1}
CONFIG: dict[str, Any] = {"seed": 0, "data": {"source": "mixed", "phantoms": 24}, "trainer": TRAINER}
ROUNDS = {
    "proposal": {"steps": 40, "loss": 4.0, "seconds": 120.0},
    "judge": {"steps": 30, "loss": 3.0, "seconds": 60.0},
}


def test_a_run_folder_says_what_it_cost(tmp_path: Path) -> None:
    metrics = {"rounds": ROUNDS, "scenes": 29, "specimens": 578, "cubes": 120}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "provenance.json").write_text(json.dumps({"device": {"cpu": "x"}, "git": None}))
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    save_compact(detector().net, tmp_path / "compact.safetensors", {})
    record = measure_training(tmp_path)
    assert (record["steps"], record["minutes"], record["data"]) == (70, 3.0, "mixed")
    assert (record["lungs"], record["nodules"], record["phantoms"]) == (5, 698, 24)
    assert record["rounds"] == ROUNDS
    assert record["trainer"] == {k: v for k, v in TRAINER.items() if k != "devices"}
    assert record["trained_on"] == {"cpu": "x"}
    assert record["parameters"] > 1_000_000
    assert record["headline"] == {"steps": "70", "minutes": "3", "precision": "bf16"}


def test_the_command_names_what_differs_from_the_shipped_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "compact.yaml"
    recipe.write_text(
        yaml.safe_dump({"data": {"phantoms": 24}, "trainer": {"max_steps": 70, "batch_size": 8}})
    )
    assert command_of(CONFIG, recipe) == "triptych-nodule stage=train experiment=compact"
    other = copy.deepcopy(CONFIG)
    other["data"] = {"source": "phantoms", "phantoms": 12}
    other["trainer"]["max_steps"] = 50
    other["seed"] = 3
    assert command_of(other, recipe) == (
        "triptych-nodule stage=train experiment=compact data=phantoms data.phantoms=12 trainer.max_steps=50 seed=3"
    )


def test_the_shipped_recipe_has_what_is_compared() -> None:
    shipped = yaml.safe_load(EXPERIMENT.read_text(encoding="utf-8"))
    assert shipped["trainer"]["max_steps"] > 0
    assert shipped["data"]["phantoms"] > 0
