"""An option that the chosen stage does not read is refused; a stage has the settings that suit it."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import ConfigError
from core.settings.schema import stages_by_field, value_at
from pipelines.demo import DemoConfig

SCHEMAS = {"nodule": NoduleConfig, "risk": RiskConfig, "imagegen": ImagegenConfig}
RISK = ("output=o",)


def compose(app: str, *words: str) -> list[object]:
    return compose_jobs(app, SCHEMAS[app], read_command_line(words))


@pytest.mark.parametrize(
    ("app", "words", "sentence"),
    [
        ("risk", "stage=score output=o model.context=64", "model.context (read by: train, plan)"),
        ("risk", "stage=score output=o model.size=10b", "model.size (read by: train, plan)"),
        ("risk", "stage=score output=o trainer.max_steps=1", "trainer.max_steps (read by: train)"),
        ("risk", "stage=score output=o ++trainer.max_steps=1", "trainer.max_steps (read by: train)"),
        ("risk", "stage=score output=o trainer=smoke", "trainer=smoke (read by: train)"),
        ("risk", "stage=backtest output=o precision=bf16", "precision=bf16 (read by: train)"),
        ("risk", "stage=plan data=stocks", "data=stocks (read by: train, evaluate, score, backtest, export)"),
        ("risk", "stage=plan schedule=x", "schedule (read by: score)"),
        (
            "nodule",
            "stage=simulate output=o weights=/nope",
            "weights (read by: train, infer, submit, serve, export)",
        ),
        (
            "nodule",
            "stage=simulate output=o model=compact",
            "model=compact (read by: train, infer, submit, serve, export)",
        ),
        ("nodule", "stage=infer input=i output=o simulate.count=2", "simulate.count (read by: simulate)"),
        ("nodule", "stage=infer input=i output=o seed=3", "seed (read by: train, evaluate, simulate)"),
        ("imagegen", "stage=export output=o n=2", "n (read by: generate)"),
        ("imagegen", "stage=serve prompt=apple", "prompt (read by: generate)"),
    ],
)
def test_what_a_stage_does_not_read_is_refused(app: str, words: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(app, *words.split())
    assert caught.value.sentence == f"{words.split()[0]} does not read {sentence}"


def test_a_section_given_at_once_is_looked_into() -> None:
    with pytest.raises(ConfigError, match=r"stage=score does not read plan\.ranks \(read by: plan\)"):
        compose("risk", "stage=score", "output=o", "plan={ranks: 4}")


def test_an_experiment_counts_as_typed() -> None:
    with pytest.raises(ConfigError) as caught:
        compose("risk", "stage=score", "output=o", "experiment=series")
    assert caught.value.sentence == (
        "stage=score does not read trainer.max_steps, which experiment=series sets (read by: train)"
    )


def test_an_experiment_of_ones_own_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /trainer: smoke\nbacktest: {days: 60}\n"
    )
    words = ["--config-dir", str(tmp_path), "experiment=mine", "output=o"]
    with pytest.raises(ConfigError, match=r"stage=backtest does not read trainer=smoke \(read by: train\)"):
        compose("risk", *words, "stage=backtest")


def test_a_group_may_set_what_other_stages_read() -> None:
    (config,) = compose("risk", "stage=plan", "model=10b")
    assert value_at(config, "model.size") == "10b"
    with pytest.raises(
        ConfigError, match="model=10b names a size to train or to plan, and stage=score takes that"
    ):
        compose("risk", "stage=score", "output=o", "model=10b")
    (config,) = compose("risk", "stage=score", "output=o", "data=m4_hourly")
    assert value_at(config, "model.horizon") == 48


def test_each_job_of_a_sweep_is_looked_at() -> None:
    with pytest.raises(ConfigError, match=r"stage=backtest does not read score\.chunk"):
        compose("risk", "-m", "stage=score,backtest", "output=o", "score.chunk=10")


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), DemoConfig])
def test_every_option_says_which_stages_read_it(schema: type) -> None:
    stages = stages_by_field(schema)
    assert len(stages) >= 4
    choices = set(stages["stage"])
    assert {name for name, readers in stages.items() if not readers or set(readers) - choices} == set()


def test_personalising_alone_does_what_its_experiment_does() -> None:
    words = ("stage=personalise", "images=i", "token=t", "output=o")
    (alone,) = compose("imagegen", *words)
    (named,) = compose("imagegen", *words, "experiment=personalise")
    assert alone == named
    assert (value_at(alone, "trainer.max_steps"), value_at(alone, "trainer.max_minutes")) == (400, 7)


def test_a_stage_in_quotes_is_the_same_stage() -> None:
    words = ["images=i", "token=t", "output=o"]
    (plain,) = compose_jobs("imagegen", ImagegenConfig, read_command_line(["stage=personalise", *words]))
    (quoted,) = compose_jobs("imagegen", ImagegenConfig, read_command_line(['stage="personalise"', *words]))
    assert quoted == plain
    assert quoted.trainer.max_steps < 10_000


def test_what_was_typed_counts_more_than_what_suits_a_stage() -> None:
    words = ("stage=personalise", "images=i", "token=t", "output=o")
    (config,) = compose("imagegen", *words, "trainer=smoke", "precision=fp32", "trainer.learning_rate=0.1")
    values = [value_at(config, f"trainer.{name}") for name in ("max_steps", "precision", "learning_rate")]
    assert values == [4, "fp32", 0.1]
    assert value_at(config, "trainer.max_minutes") == 7, "the rest still suits the stage"
    (plain,) = compose("imagegen", *words, "experiment=null")
    assert value_at(plain, "trainer.max_steps") == 10000
