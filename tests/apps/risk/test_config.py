"""Settings of the risk app: wrong ones end in one line that says what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig, ScoreConfig
from core.errors import ConfigError


def test_without_settings_the_embedded_markets_are_scored_by_the_champion() -> None:
    config = RiskConfig(stage="score")
    assert (config.data.sample, config.model.name, config.weights) == ("markets", "champion", None)


@pytest.mark.parametrize(
    ("wrong", "result"),
    [
        (
            {"stage": "infer"},
            "stage=infer is not one of train, evaluate, score, backtest, export, plan, serve",
        ),
        ({"stage": "score", "data": DataConfig(sample=None)}, "a sample or data.path: add data=SAMPLE"),
        ({"stage": "score", "data": DataConfig(path="a.csv")}, "leave data.sample null"),
        ({"stage": "score", "data": DataConfig(sample="mixture")}, "data=mixture is generated series"),
        (
            {
                "stage": "score",
                "score": ScoreConfig(champion="evaluation"),
                "model": ModelConfig(name="gjr_garch"),
            },
            "score.champion= lets an evaluation name the model, and model=gjr_garch names one, too",
        ),
    ],
)
def test_a_wrong_setting_is_reported(wrong: dict[str, Any], result: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RiskConfig(**wrong)
    assert result in caught.value.sentence


def test_models_of_a_backtest_are_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"backtest\.models=oracle is not one of riskformer, tft"):
        BacktestConfig(models=["riskformer", "oracle"])


@pytest.mark.parametrize(
    ("models", "sentence"),
    [([], "compares nothing: name one or more"), (["gjr_garch", "gjr_garch"], "names gjr_garch twice")],
)
def test_a_backtest_compares_each_model_once(models: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        BacktestConfig(models=models)
