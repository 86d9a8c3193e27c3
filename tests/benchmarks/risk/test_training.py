"""The record of a training, from its run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import save_riskformer
from benchmarks.risk.training import EXPERIMENT, command_of, run
from core.errors import InputError
from core.runs.files import write_json, write_text
from tests.apps.risk.models.networks import untrained


def test_a_run_folder_tells_what_it_cost(tmp_path: Path) -> None:
    shipped = yaml.safe_load(EXPERIMENT.read_text("utf-8"))["trainer"]
    write_text(tmp_path / "config.yaml", yaml.safe_dump({"seed": 0, "trainer": {**shipped, "max_steps": 9}}))
    rounds = {
        "pretrain": {"steps": 7, "loss": 0.1, "seconds": 60},
        "finetune": {"steps": 2, "loss": 0.1, "seconds": 30},
    }
    result = {"rounds": rounds, "missing": [], "until": "2008-01-01"}
    write_json(tmp_path / "metrics.json", {"targets": result})
    write_json(tmp_path / "provenance.json", {"device": {"cpu": "a"}})
    part = TargetsPart("riskformer", {"riskformer": save_riskformer(untrained(), tmp_path / "model")})
    write_description(tmp_path / "model", Description(part))
    record = run(run=str(tmp_path))
    assert record["minutes"] == 1.5
    assert record["headline"]["steps"] == "9"
    assert record["command"] == "triptych-risk stage=train experiment=series trainer.max_steps=9"
    assert record["parameters"] == sum(p.numel() for p in untrained().net.parameters())


def test_the_shipped_experiment_needs_no_more_words() -> None:
    shipped = yaml.safe_load(EXPERIMENT.read_text("utf-8"))
    assert command_of({"seed": 0, "trainer": shipped["trainer"]}).endswith("experiment=series")
    assert command_of({"seed": 4, "trainer": shipped["trainer"]}).endswith("seed=4")


def test_a_folder_of_no_run_is_reported() -> None:
    with pytest.raises(InputError, match="add run=DIR"):
        run()
