"""Losses by hand, least for the truth, and their rules of missing values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import mean_pinball_loss

from apps.risk.metrics.tail_scores import fissler_ziegel_loss, pinball_loss

NAN = np.nan


def test_pinball_by_hand_and_by_scikit_learn() -> None:
    # above the quantile: level × distance; below: (1 - level) × distance
    loss = pinball_loss(np.array([3.0, 1.0, 2.0]), np.array([2.0, 2.0, 2.0]), 0.1)
    assert loss == pytest.approx([0.1, 0.9, 0.0])
    generator = np.random.default_rng(0)
    actual, quantile = generator.normal(size=(2, 500))
    for level in (0.01, 0.5, 0.975):
        theirs = mean_pinball_loss(actual, quantile, alpha=level)
        assert pinball_loss(actual, quantile, level).mean() == pytest.approx(theirs)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.001, 0.999))
def test_pinball_is_never_negative_and_mirrors(actual: float, quantile: float, level: float) -> None:
    one, other = np.array([actual]), np.array([quantile])
    loss = pinball_loss(one, other, level)[0]
    assert loss >= 0.0
    assert pinball_loss(-one, -other, 1.0 - level)[0] == pytest.approx(loss, rel=1e-9, abs=1e-9)


def plain_fz0(y: float, v: float, e: float, level: float) -> float:
    """Patton, Ziegel & Chen's FZ0 as printed: -1/(α e) 1{y ≤ v} (v - y) + v/e + log(-e) - 1."""
    return -1.0 / (level * e) * (y <= v) * (v - y) + v / e + math.log(-e) - 1.0


@given(st.floats(-50, 50), st.floats(-20, 20), st.floats(0.01, 20), st.sampled_from([0.01, 0.025, 0.05]))
def test_fissler_ziegel_is_the_papers_formula(y: float, v: float, gap: float, level: float) -> None:
    e = min(v, 0.0) - gap
    loss = fissler_ziegel_loss(np.array([y]), np.array([v]), np.array([e]), level)[0]
    assert loss == pytest.approx(plain_fz0(y, v, e, level), rel=1e-9, abs=1e-9)


def test_fissler_ziegel_by_hand() -> None:
    # v = -1, e = -2, 5 %: calm day 1/2 + log 2 - 1; return -3: 2 / (.05 × 2) more
    loss = fissler_ziegel_loss(np.array([0.0, -3.0]), np.full(2, -1.0), np.full(2, -2.0), 0.05)
    assert loss == pytest.approx([math.log(2) - 0.5, math.log(2) + 19.5])


def test_the_true_var_and_es_have_the_least_mean_loss() -> None:
    level = 0.025
    var, es = norm.ppf(level), -norm.pdf(norm.ppf(level)) / level
    grid = norm.ppf((np.arange(400_000) + 0.5) / 400_000)

    def mean(var_factor: float, es_factor: float) -> float:
        v, e = np.full_like(grid, var * var_factor), np.full_like(grid, es * es_factor)
        return float(fissler_ziegel_loss(grid, v, e, level).mean())

    best = mean(1.0, 1.0)
    # closed form: at the truth E[1{y ≤ v}(v - y)] = level (v - e), so the mean loss is log(-e)
    assert best == pytest.approx(math.log(-es), abs=1e-4)
    for factors in [(0.95, 1.0), (1.05, 1.0), (1.0, 0.95), (1.0, 1.05), (0.9, 0.9), (1.1, 1.1)]:
        assert mean(*factors) > best + 1e-5
    quantiles = [
        float(pinball_loss(grid, np.full_like(grid, var * f), level).mean()) for f in (0.95, 1.0, 1.05)
    ]
    assert min(quantiles) == quantiles[1]


def test_differences_of_losses_do_not_depend_on_the_unit() -> None:
    generator = np.random.default_rng(1)
    returns = generator.normal(size=(4, 30))
    one = fissler_ziegel_loss(returns, np.full((4, 30), -1.5), np.full((4, 30), -2.0), 0.05)
    other = fissler_ziegel_loss(returns, np.full((4, 30), -1.8), np.full((4, 30), -2.5), 0.05)
    percent = fissler_ziegel_loss(100 * returns, np.full((4, 30), -150.0), np.full((4, 30), -200.0), 0.05)
    percent_other = fissler_ziegel_loss(
        100 * returns, np.full((4, 30), -180.0), np.full((4, 30), -250.0), 0.05
    )
    assert percent - percent_other == pytest.approx(one - other)
    assert percent == pytest.approx(one + math.log(100))


def test_missing_outcomes_give_nan_and_their_forecasts_are_not_looked_at() -> None:
    returns = np.array([[-1.0, NAN], [np.inf, 0.5]])
    mask = np.array([[True, True], [False, True]])
    forecast = np.array([[-2.0, NAN], [np.inf, -2.0]])
    for loss in (
        pinball_loss(returns, forecast, 0.05, mask),
        fissler_ziegel_loss(returns, forecast, forecast, 0.05, mask),
    ):
        assert np.isnan(loss).tolist() == [[False, True], [True, False]]


def test_impossible_inputs_are_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="level is 1, wanted above 0 and below 1"):
        pinball_loss(ones, ones, 1)
    with pytest.raises(ValueError, match=r"level is 0\.99, wanted the tail's probability"):
        fissler_ziegel_loss(ones, -ones, -ones, 0.99)
    with pytest.raises(ValueError, match="es is 0 or above 1 times, wanted negative returns"):
        fissler_ziegel_loss(ones, ones, np.array([-1.0, 0.0, -1.0]), 0.05)
    with pytest.raises(ValueError, match="es lies above var 3 times, wanted es ≤ var"):
        fissler_ziegel_loss(ones, -2 * ones, -ones, 0.05)
    with pytest.raises(ValueError, match="es is missing 1 times where the outcome counts"):
        fissler_ziegel_loss(ones, -ones, np.array([-1.0, NAN, -1.0]), 0.05)
    with pytest.raises(ValueError, match=r"wanted equal: actual \(3,\), quantile \(2,\)"):
        pinball_loss(ones, np.ones(2), 0.5)
    with pytest.raises(ValueError, match="none of 3 outcomes counts"):
        pinball_loss(np.full(3, NAN), ones, 0.5)
