"""Config groups: their choices, and which fields each file sets."""

from __future__ import annotations

from pathlib import Path

from core.cli.choices import Choices, groups


def test_groups_are_the_apps_own_and_the_shared_ones() -> None:
    choices = groups("nodule")
    assert list(choices) == ["data", "experiment", "model", "precision", "strategy", "trainer"]
    assert choices["model"] == ["compact", "retinanet"]
    assert choices["precision"] == ["bf16", "fp32"]


def test_a_file_sets_fields_below_its_package() -> None:
    choices = Choices("risk")
    read = {
        name: choices.read(*name) for name in [("model", "10b"), ("precision", "bf16"), ("data", "credit")]
    }
    fields = {name: dict(choice.fields) for name, choice in read.items() if choice is not None}
    assert fields == {
        ("model", "10b"): {"model.name": "riskformer", "model.size": "10b"},
        ("precision", "bf16"): {"trainer.precision": "bf16"},
        ("data", "credit"): {"data.sample": "credit", "model.horizon": 1},
    }


def test_an_experiment_may_take_other_choices() -> None:
    choice = Choices("risk").read("experiment", "series")
    assert choice is not None
    assert choice.groups == {"data": "mixture", "model": "tiny"}
    assert choice.fields["trainer.max_steps"] == 6400


def test_a_file_that_cannot_be_read_is_left_to_hydra(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "odd.yaml").write_bytes(b"a: \xff")
    (tmp_path / "experiment" / "list.yaml").write_text("- 1")
    choices = Choices("risk", [str(tmp_path)])
    assert [choices.read("experiment", name) for name in ("odd", "list", "none")] == [None, None, None]
