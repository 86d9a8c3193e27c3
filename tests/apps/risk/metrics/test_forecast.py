"""MASE, quantile losses and WQL: by hand, by scikit-learn, and by their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import mean_pinball_loss

from apps.risk.metrics.forecast import (
    mase,
    mase_by_series,
    quantile_losses,
    seasonal_naive_scale,
    weighted_quantile_loss,
)

NAN = np.nan
LEVELS = np.array([0.1, 0.5, 0.9])


def sample(series: int = 6, steps: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    actual = generator.normal(3.0, 2.0, size=(series, steps))
    return actual, np.sort(generator.normal(3.0, 2.0, size=(series, steps, 3)), axis=2)


def test_the_scale_is_the_mean_change_over_a_season() -> None:
    history = np.array(
        [[1.0, 5.0, 2.0, 9.0], [NAN, NAN, 4.0, 1.0], [NAN, NAN, NAN, 1.0], [2.0, 3.0, 2.0, 3.0]]
    )
    assert seasonal_naive_scale(history, 1) == pytest.approx([14 / 3, 3.0, NAN, 1.0], nan_ok=True)
    # a series that repeats itself has scale 0
    assert seasonal_naive_scale(history, 2) == pytest.approx([2.5, NAN, NAN, 0.0], nan_ok=True)
    gap = np.array([[1.0, NAN, 4.0, 6.0]])
    assert seasonal_naive_scale(gap, 1).tolist() == [2.0]


def test_mase_by_hand() -> None:
    actual = np.array([[10.0, 12.0], [1.0, NAN], [5.0, 5.0], [NAN, NAN]])
    forecast = np.array([[11.0, 9.0], [3.0, NAN], [4.0, 4.0], [NAN, 0.0]])
    scale = np.array([2.0, 4.0, 0.0, 1.0])
    # (1 + 3) / 2 / 2; 2 / 4; no scale; no outcome
    assert mase_by_series(actual, forecast, scale) == pytest.approx([1.0, 0.5, NAN, NAN], nan_ok=True)
    assert mase(actual, forecast, scale) == pytest.approx(0.75)
    assert mase(actual, forecast, scale, weight_N=np.array([1, 3, 5, 0])) == pytest.approx(2.5 / 4)
    assert np.isnan(mase(actual, forecast, scale, weight_N=np.array([0, 0, 5, 1])))
    mask = np.array([[False, True], [True, True], [True, True], [True, True]])
    assert mase_by_series(actual, forecast, scale, mask)[:2] == pytest.approx([1.5, 0.5])


def test_the_seasonal_naive_forecast_of_a_random_walk_has_mase_near_one() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=(400, 201)), axis=1)
    scale = seasonal_naive_scale(walk[:, :200], 1)
    assert mase(walk[:, 200:], walk[:, 199:200], scale) == pytest.approx(1.0, abs=0.15)


def test_quantile_losses_are_scikit_learns() -> None:
    actual, quantile = sample()
    theirs = [
        mean_pinball_loss(actual.ravel(), quantile[..., q].ravel(), alpha=level)
        for q, level in enumerate(LEVELS)
    ]
    assert quantile_losses(actual, quantile, LEVELS) == pytest.approx(theirs)


def test_wql_by_hand() -> None:
    actual = np.array([[4.0, -2.0]])
    quantile = np.array([[[3.0, 5.0], [-2.0, 0.0]]])
    level = np.array([0.1, 0.5])
    # level .1: .1 × 1 + 0; level .5: .5 × 1 + .5 × 2; each twice, over 6, mean of the two
    assert weighted_quantile_loss(actual, quantile, level) == pytest.approx((2 * 0.1 + 2 * 1.5) / 6 / 2)
    assert np.isnan(weighted_quantile_loss(np.zeros((1, 2)), quantile, level))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e12))
def test_neither_mase_nor_wql_minds_the_unit(seed: int, unit: float) -> None:
    actual, quantile = sample(seed=seed)
    scale = np.full(6, 1.7)
    assert mase(unit * actual, unit * quantile[..., 1], unit * scale) == pytest.approx(
        mase(actual, quantile[..., 1], scale)
    )
    assert weighted_quantile_loss(unit * actual, unit * quantile, LEVELS) == pytest.approx(
        weighted_quantile_loss(actual, quantile, LEVELS)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_that_many_equal_series_and_a_mask_is_a_missing_outcome(seed: int) -> None:
    actual, quantile = sample(seed=seed)
    generator = np.random.default_rng(seed)
    weight = generator.integers(0, 4, size=6)
    weight[0] += 1
    mask = generator.random(actual.shape) < 0.7
    mask[0, 0] = True
    hidden = np.where(mask, actual, NAN)
    copied = np.repeat(np.arange(6), weight)
    for figure in (quantile_losses, weighted_quantile_loss):
        ours = figure(actual, quantile, LEVELS, mask, weight)
        assert ours == pytest.approx(figure(hidden[copied], quantile[copied], LEVELS))


def test_a_true_forecast_scores_best() -> None:
    actual = np.random.default_rng(1).normal(size=(100, 100))
    truth = np.broadcast_to(norm.ppf(LEVELS), (100, 100, 3))
    best = weighted_quantile_loss(actual, truth, LEVELS)
    for factor in (0.8, 1.25):
        assert weighted_quantile_loss(actual, factor * truth, LEVELS) > best


def test_impossible_inputs_are_refused() -> None:
    actual, quantile = sample()
    with pytest.raises(ValueError, match="season is 0, wanted at least 1"):
        seasonal_naive_scale(actual, 0)
    with pytest.raises(ValueError, match="steps of history is 5, wanted at least 6"):
        seasonal_naive_scale(actual, 5)
    with pytest.raises(ValueError, match="history_NT has 1 infinite values"):
        seasonal_naive_scale(np.array([[1.0, np.inf]]), 1)
    with pytest.raises(ValueError, match=r"wanted equal: scale_N \(5,\), series \(6,\)"):
        mase(actual, actual, np.ones(5))
    with pytest.raises(ValueError, match="forecast_NH is missing 30 times where the outcome counts"):
        mase(actual, np.full_like(actual, NAN), np.ones(6))
    with pytest.raises(
        ValueError, match=r"levels have shape \(2,\), quantiles \(6, 5, 3\), wanted one level"
    ):
        quantile_losses(actual, quantile, LEVELS[:2])
    with pytest.raises(ValueError, match=r"level is 1\.0, wanted above 0 and below 1"):
        weighted_quantile_loss(actual, quantile, np.array([0.1, 0.5, 1.0]))
    with pytest.raises(ValueError, match="quantile is missing 1 times where the outcome counts"):
        quantile_losses(actual, np.where(np.arange(90).reshape(6, 5, 3) == 4, NAN, quantile), LEVELS)
    with pytest.raises(ValueError, match="quantile has 30 infinite values"):
        quantile_losses(actual, np.full_like(quantile, np.inf), LEVELS)
    with pytest.raises(ValueError, match="none of 30 outcomes counts"):
        weighted_quantile_loss(actual, quantile, LEVELS, np.zeros_like(actual, dtype=bool))
    with pytest.raises(ValueError, match="a weight is negative or not finite"):
        quantile_losses(actual, quantile, LEVELS, weight_N=np.full(6, -1.0))
