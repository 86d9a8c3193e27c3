"""The record of a training, from its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.imagegen.models.pipeline_folder import load_pipeline
from benchmarks.imagegen.training import EXPERIMENT, command_of, run
from core.errors import InputError
from core.runs.files import write_json, write_text
from tests.apps.imagegen.tiny import tiny_pipeline

SHIPPED: dict[str, Any] = yaml.safe_load(EXPERIMENT.read_text("utf-8"))


def test_a_run_folder_tells_what_it_cost(tmp_path: Path) -> None:
    config = {"seed": 4, **SHIPPED, "trainer": {**SHIPPED["trainer"], "max_steps": 9, "batch_size": 2}}
    write_text(tmp_path / "config.yaml", yaml.safe_dump(config))
    rounds = {
        "autoencoder": {"steps": 7, "loss": 0.1, "seconds": 90.0},
        "denoiser": {"steps": 9, "loss": None, "seconds": 600.0},
    }
    write_json(tmp_path / "metrics.json", {"rounds": rounds, "pictures": 5, "variants": 6, "captions": 7})
    write_json(tmp_path / "provenance.json", {"device": {"cpu": "a"}})
    model = tiny_pipeline(tmp_path / "model")
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    record = run(run=str(tmp_path))
    assert record["headline"]["denoiser"] == "9 steps, 10 min, 18 samples"
    assert record["minutes"] == {"autoencoder": 1.5, "denoiser": 10.0}
    assert (record["bytes"], record["trained_on"], record["variants"]) == (size, {"cpu": "a"}, 6)
    assert record["model"] == load_pipeline(model).digest
    assert record["command"] == (
        "triptych-imagegen stage=train experiment=emoji trainer.max_steps=9 trainer.batch_size=2 seed=4"
    )


def test_the_shipped_experiment_needs_no_more_words() -> None:
    assert command_of({"seed": 0, **SHIPPED}) == "triptych-imagegen stage=train experiment=emoji"


@pytest.mark.parametrize("words", [{}, {"run": "no-such-folder"}])
def test_a_folder_of_no_run_is_reported(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="add run=DIR"):
        run(**words)
