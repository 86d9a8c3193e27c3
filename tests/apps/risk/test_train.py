"""stage=train in small: the mixture in two rounds, a table of one's own, resumed; what is left is a model folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk import backtest, evaluate, score, train
from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, PlanConfig, RiskConfig
from apps.risk.data import load, mixture
from apps.risk.data.loan_book import COLUMNS
from apps.risk.models import risk_model
from apps.risk.models.baselines import HistoricalSimulation
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import RiskModel, save_riskformer
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.plan import launch_of
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import ConfigError, InputError
from core.runs.folder import Run
from core.training.config import TrainerConfig
from tests.apps.risk.models.driven import driven
from tests.apps.risk.models.networks import SMALL, untrained

TRAINER = TrainerConfig(
    max_steps=4, batch_size=8, warmup_steps=1, checkpoint_every_steps=1, log_every_steps=1
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(train.SIZES, "tiny", SMALL)
    monkeypatch.setattr(mixture, "KERNELS", 4)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _train(cfg: RiskConfig, folder: Path) -> RiskModel:
    run = Run(folder)
    try:
        assert train.run(cfg, run) == 0
    finally:
        run.close()
    return RiskModel.from_pretrained(folder / "model")


def _mixture() -> RiskConfig:
    return RiskConfig(
        stage="train", data=DataConfig(sample="mixture"), model=ModelConfig(context=64), trainer=TRAINER
    )


def test_pretraining_goes_in_two_rounds_and_leaves_a_model(tmp_path: Path) -> None:
    model = _train(_mixture(), tmp_path)
    assert isinstance(model.targets, RiskformerTargets)
    assert model.described.until("targets") == mixture.UNTIL
    assert model.targets.context == 64
    metrics = json.loads((tmp_path / "metrics.json").read_text())["targets"]
    assert {name: result["steps"] for name, result in metrics["rounds"].items()} == {
        "pretrain": 3,
        "finetune": 1,
    }
    assert all(0.02 <= shape <= 0.6 for shape in model.targets.shapes)
    assert model.targets.residual_KQ is not None
    assert model.targets.residual_KQ.shape == (train.AHEAD, len(QUANTILE_LEVELS))
    assert (np.diff(model.targets.residual_KQ, axis=1) >= 0).all()


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = _train(_mixture(), tmp_path / "whole").targets
    cut = replace(_mixture(), trainer=replace(TRAINER, max_steps=4))
    run = Run(tmp_path / "cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "ROUNDS", {"pretrain": train.ROUNDS["pretrain"]})
        train.run(cut, run)
    run.close()
    resumed = _train(_mixture(), tmp_path / "cut").targets
    assert isinstance(whole, RiskformerTargets)
    assert isinstance(resumed, RiskformerTargets)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], value), name


def test_more_steps_train_the_first_round_on_and_the_next_anew(tmp_path: Path) -> None:
    first = _train(_mixture(), tmp_path).targets
    longer = replace(_mixture(), trainer=replace(TRAINER, max_steps=8))
    second = _train(longer, tmp_path).targets
    metrics = json.loads((tmp_path / "metrics.json").read_text())["targets"]
    assert {name: result["steps"] for name, result in metrics["rounds"].items()} == {
        "pretrain": 6,
        "finetune": 2,
    }
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"settings.json", "pretrain", "finetune", "finetune-2"}
    assert isinstance(first, RiskformerTargets)
    assert isinstance(second, RiskformerTargets)
    assert any(not torch.equal(one, second.net.state_dict()[n]) for n, one in first.net.state_dict().items())
    with pytest.raises(ConfigError, match=r"trainer\.max_steps=8, and this run has trainer\.max_steps=4"):
        _train(_mixture(), tmp_path)


def test_a_table_of_ones_own_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _before(tmp_path, monkeypatch)
    draw = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=200)
    table = pd.concat(
        pd.DataFrame({"asset": name, "date": days, "return": draw.normal(size=200)}) for name in "abc"
    )
    table.to_csv(tmp_path / "own.csv", index=False)
    data = DataConfig(
        sample=None, path=str(tmp_path / "own.csv"), entity="asset", time="date", targets="return"
    )
    cfg = RiskConfig(stage="train", data=data, trainer=TRAINER, model=ModelConfig(name="riskformer"))
    model = _train(cfg, tmp_path / "run").targets
    assert isinstance(model, RiskformerTargets)
    assert not torch.equal(model.net.event_head.weight, torch.zeros_like(model.net.event_head.weight))
    before, after = untrained(64).net.state_dict(), model.net.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def _before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small network be the embedded one."""
    result = save_riskformer(untrained(64), folder / "before")
    write_description(folder / "before", Description(TargetsPart("riskformer", {"riskformer": result})))
    monkeypatch.setattr(risk_model, "DEFAULT", folder / "before")


def _driven(folder: Path, stage: str, name: str = "riskformer", **given: Any) -> RiskConfig:
    """Return the settings of a stage for a table with covariates (tests.apps.risk.models.driven)."""
    driven(4, 90).to_csv(folder / "driven.csv", index=False)
    data = DataConfig(
        sample=None,
        path=str(folder / "driven.csv"),
        observed="seen,noise",
        known="due.sum",
        statics="kind",
        static_numbers="age",
    )
    return RiskConfig(
        stage=stage,
        as_of="2024-03-20",
        output=str(folder / stage),
        data=data,
        trainer=TRAINER,
        model=ModelConfig(name=name, horizon=3, paths=100),
        backtest=BacktestConfig(days=20, models=["riskformer", "historical_simulation"]),
        **given,
    )


def test_a_table_with_covariates_is_learned_and_all_stages_take_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _before(tmp_path, monkeypatch)
    trained = _train(_driven(tmp_path, "train"), tmp_path / "run")
    assert isinstance(trained.targets, RiskformerCovariates)
    assert trained.targets.columns.known == ("due.sum",)
    assert trained.targets.horizon == 3
    assert trained.targets.context == 64
    assert trained.described.until("targets") == "2024-03-20"
    monkeypatch.setattr("apps.risk.evaluate.BASELINES", {"historical_simulation": HistoricalSimulation})
    recorded: dict[str, dict[str, Any]] = {}
    for stage, verb in (("score", score), ("backtest", backtest), ("evaluate", evaluate)):
        cfg = _driven(tmp_path, stage, weights=str(tmp_path / "run" / "model"))
        run = Run(tmp_path / f"run-{stage}")
        with run.log:
            assert verb.run(cfg, run) == 0
        warned = "" if stage == "score" else "trained on data until 2024-03-20 and forecast days from 2024-0"
        assert warned in capfd.readouterr().err
        recorded[stage] = json.loads((tmp_path / f"run-{stage}" / "metrics.json").read_text())
    assert recorded["score"]["scored"] == 4
    assert recorded["backtest"]["targets"]["target"]["entity_1"]["riskformer"]["0.05"]["pinball"][0] > 0
    assert recorded["evaluate"]["labels"]["target"]["test"]["riskformer"]["horizon"]["wql"][0] > 0
    bare = _driven(tmp_path, "score", weights=str(tmp_path / "run" / "model"))
    bare.data.known = None
    run = Run(tmp_path / "run-bare")
    with run.log, pytest.raises(InputError, match=r"trained with known due\.sum, the table has none"):
        score.run(bare, run)


def _fit_two_steps(fit: Any, module: Any, data: Any, trainer: TrainerConfig, *rest: Any) -> Any:
    return fit(module, data, replace(trainer, max_steps=2), *rest)


def test_a_table_with_covariates_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _before(tmp_path, monkeypatch)
    whole = _train(_driven(tmp_path, "train"), tmp_path / "whole").targets
    cut = _driven(tmp_path, "train")
    with pytest.MonkeyPatch.context() as patch:  # cut off behind two of its four steps
        patch.setattr(train, "fit_soundly", partial(_fit_two_steps, train.fit_soundly))
        _train(cut, tmp_path / "cut")
    (tmp_path / "cut" / "checkpoints" / "own" / "weights.safetensors").unlink()
    resumed = _train(cut, tmp_path / "cut").targets
    again = _train(
        _driven(tmp_path, "train", weights=str(tmp_path / "whole" / "model")), tmp_path / "again"
    ).targets
    assert isinstance(whole, RiskformerCovariates)
    assert isinstance(resumed, RiskformerCovariates)
    assert isinstance(again, RiskformerCovariates)
    weights = [one.net.state_dict() for one in (whole, resumed, again)]
    for name, value in weights[0].items():
        assert torch.allclose(weights[1][name], value, atol=1e-6), name
    assert weights[0]["statics.0.weight"].any()  # they are learned,
    assert not torch.equal(weights[2]["statics.0.weight"], weights[0]["statics.0.weight"])
    moved = (weights[2]["statics.0.weight"] - weights[0]["statics.0.weight"]).abs().max()
    assert moved < 0.02  # and gone on with, four steps of 1e-3 at most
    assert torch.equal(again.levels.knot_2VK, whole.levels.knot_2VK)


def test_a_table_without_a_window_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _before(tmp_path, monkeypatch)
    cfg = replace(_driven(tmp_path, "train"), model=ModelConfig(name="riskformer", horizon=80))
    run = Run(tmp_path / "run")
    with (
        run.log,
        pytest.raises(InputError, match="no series has 8 rows of past and 80 steps ahead to learn from"),
    ):
        train.run(cfg, run)


def test_models_of_an_event_are_fitted_and_the_best_is_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BORROWERS", 500)
    cfg = RiskConfig(
        stage="train", data=DataConfig(sample="loan_book"), model=ModelConfig(horizon=12), trainer=TRAINER
    )
    model = _train(cfg, tmp_path)
    result = json.loads((tmp_path / "metrics.json").read_text())["event"]
    losses = {name: figures["log_loss"] for name, figures in result["development"]["models"].items()}
    assert model.targets is None
    assert model.event is not None
    assert model.event.name == result["champion"] == min(losses, key=lambda name: losses[name])
    assert set(losses) == {"riskformer", "scorecard", "boosting"}
    panel = load.load_panel(cfg.data).panel
    pd_N = model.event.forecast_event(panel).pd_N
    assert pd_N.shape == (len(panel.entities),)
    assert ((pd_N > 0) & (pd_N < 1)).all()
    model.require(COLUMNS)
    with pytest.raises(InputError, match="the model was trained with observed days_late, utilisation"):
        model.require(replace(COLUMNS, observed=("days_late",)))


def test_what_needs_no_training_is_reported(tmp_path: Path) -> None:
    cfg = RiskConfig(stage="train", model=ModelConfig(name="gjr_garch"))
    run = Run(tmp_path)
    with pytest.raises(ConfigError, match="model=gjr_garch needs no training"):
        train.run(cfg, run)
    run.close()


@pytest.mark.parametrize(("batch_size", "context"), [(4, 64), (1, 8), (13, 30)])
def test_what_the_plan_prints_trains(tmp_path: Path, batch_size: int, context: int) -> None:
    """The command of stage=plan, but for its number of steps, in this process."""
    planned = RiskConfig(
        stage="plan",
        model=ModelConfig(name="riskformer", context=context),
        plan=PlanConfig(ranks=1, strategy="single", precision="fp32", batch_size=batch_size),
    )
    words = shlex.split(launch_of(planned).command)
    line = read_command_line([*words[words.index("pipelines.risk") + 1 :], "trainer.max_steps=4"])
    (job,) = compose_jobs("risk", RiskConfig, line)
    model = _train(job, tmp_path)
    assert isinstance(model.targets, RiskformerTargets)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["targets"]
    assert {name: result["steps"] for name, result in metrics["rounds"].items()} == {
        "pretrain": 3,
        "finetune": 1,
    }
    assert all(result["loss"] > 0 for result in metrics["rounds"].values())
