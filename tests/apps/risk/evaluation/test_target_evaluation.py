"""Figures over the horizon are those of their functions; the champion is chosen by its rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.risk.evaluation.target_evaluation import LEVELS, chosen, horizon_figures
from apps.risk.metrics.forecast import mase, weighted_quantile_loss
from core.errors import InputError


def test_figures_of_the_horizon_are_those_of_their_functions() -> None:
    generator = np.random.default_rng(0)
    actual_NH = generator.normal(size=(12, 5))
    quantile_NHQ = np.sort(generator.normal(size=(12, 5, len(LEVELS))), axis=2)
    scale_N, mask_NH = generator.uniform(0.5, 2.0, 12), generator.random((12, 5)) < 0.8
    scale_N[3] = np.nan
    owner_N = np.tile(np.arange(6), 2)
    result = horizon_figures(actual_NH, quantile_NHQ, scale_N, mask_NH, owner_N, seed=0)
    inside_NH = (quantile_NHQ[..., 0] <= actual_NH) & (actual_NH <= quantile_NHQ[..., 8])
    wanted = {
        "wql": weighted_quantile_loss(actual_NH, quantile_NHQ, LEVELS, mask_NH),
        "mase": mase(actual_NH, quantile_NHQ[..., 4], scale_N, mask_NH),
        "coverage_80": inside_NH[mask_NH].mean(),
    }
    for name, value in wanted.items():
        assert result[name][0] == pytest.approx(value, rel=1e-5)
        assert result[name][1] < value < result[name][2]


def figures(pinball: float, fz: float | None, wql: float) -> dict[str, Any]:
    level = {"pinball": [pinball, 0.0, 9.0], "fz": None if fz is None else [fz, 0.0, 9.0]}
    return {"0.01": level, "0.025": level, "horizon": {"wql": [wql, 0.0, 9.0]}}


def test_the_champion_has_the_least_mean_rank_or_of_prices_the_least_loss_over_the_horizon() -> None:
    returns = {"a": figures(1.0, 2.0, 9.0), "b": figures(2.0, 1.0, 5.0), "c": figures(1.5, 0.5, 7.0)}
    result = chosen(returns)
    # ranks: pinball 1 3 2, FZ 3 2 1
    assert result["mean_rank"] == {"a": 2.0, "b": 2.5, "c": 1.5}
    assert result["champion"] == "c"
    prices = {"a": figures(1.0, None, 9.0), "b": figures(2.0, None, 5.0)}
    assert chosen(prices)["champion"] == "b"
    assert chosen(prices)["rule"].startswith("least weighted quantile loss")
    with pytest.raises(InputError, match="no model has a forecast on any development date"):
        chosen(
            {
                "a": {
                    "0.01": {"pinball": None, "fz": None},
                    "0.025": {"pinball": None, "fz": None},
                    "horizon": {},
                }
            }
        )
