"""The last season again: by hand, against a loop, against the true spread of a seasonal random walk; gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from apps.risk.models.seasonal_naive import seasonal_naive

NAN = np.nan


def test_by_hand() -> None:
    # changes over a season of 2: 2, 2, 4, 2; their mean square is 28 / 4
    forecast = seasonal_naive(np.array([[1.0, 10.0, 3.0, 12.0, 7.0, 14.0]]), horizon=5, season=2)
    assert forecast.point_NH.tolist() == [[7.0, 14.0, 7.0, 14.0, 7.0]]
    assert forecast.sd_NH[0] == pytest.approx(np.sqrt(7.0 * np.array([1, 1, 2, 2, 3])))
    assert forecast.reason_N == ("",)


@given(
    st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=1, max_size=30),
    st.integers(1, 7),
    st.integers(1, 12),
)
def test_is_what_a_loop_says(values: list[int | None], season: int, horizon: int) -> None:
    history = np.array([NAN if value is None else float(value) for value in values])
    forecast = seasonal_naive(history[None], horizon, season)
    known = history[~np.isnan(history)]
    if not len(known):
        assert np.isnan(forecast.point_NH).all()
        assert forecast.reason_N == ("all_missing",)
        return
    changes = [b - a for a, b in zip(history, history[season:], strict=False) if not math.isnan(b - a)]
    sd = math.sqrt(sum(change**2 for change in changes) / len(changes)) if changes else 0.0
    for h in range(horizon):
        index, seasons = len(history) + h, 0
        while index >= len(history) or (index >= 0 and math.isnan(history[index])):
            index, seasons = index - season, seasons + 1
        if index < 0:
            assert forecast.point_NH[0, h] == known[-1]
            assert forecast.reason_N == ("season_missing",)
        else:
            assert forecast.point_NH[0, h] == history[index]
            assert forecast.sd_NH[0, h] == pytest.approx(sd * math.sqrt(seasons))


def test_quantiles_cover_a_seasonal_random_walk_as_they_say() -> None:
    # truth: each season is the last one plus N(0, 3²)
    season, generator = 4, np.random.default_rng(0)
    walk = np.cumsum(generator.normal(0.0, 3.0, (3000, 30, season)), axis=1).reshape(3000, -1)
    level = np.array([0.05, 0.5, 0.9])
    quantile = seasonal_naive(walk[:, :-8], horizon=8, season=season).quantile_NHQ(level)
    below = np.mean(walk[:, -8:, None] <= quantile, axis=0)
    assert below == pytest.approx(np.tile(level, (8, 1)), abs=0.025)


def test_quantiles_are_normal() -> None:
    forecast = seasonal_naive(np.array([[0.0, 1.0, 0.0, 1.0]]), horizon=4)
    expected = 1.0 + norm.ppf(0.05) * np.sqrt([1, 2, 3, 4])
    assert forecast.quantile_NHQ(np.array([0.05]))[0, :, 0] == pytest.approx(expected)


def test_odd_series_have_a_reason_and_raise_nothing() -> None:
    history = np.full((4, 6), NAN)
    history[1, -1] = 5.0
    history[2] = 3.0
    history[3] = [-1e200, 1e200] * 3
    forecast = seasonal_naive(history, horizon=2)
    assert forecast.reason_N == ("all_missing", "no_errors", "", "")
    quantile = forecast.quantile_NHQ(np.array([0.1, 0.9]))
    assert np.isnan(quantile[0]).all()
    assert (quantile[1] == 5.0).all()
    assert (quantile[2] == 3.0).all()
    assert forecast.sd_NH[3, 0] == pytest.approx(2e200)


def test_impossible_input_is_refused() -> None:
    with pytest.raises(ValueError, match="history has 1 infinite values"):
        seasonal_naive(np.array([[np.inf]]), 1)
    with pytest.raises(ValueError, match="horizon 1, season 0, wanted"):
        seasonal_naive(np.ones((1, 3)), 1, season=0)
    with pytest.raises(ValueError, match=r"levels are \[1\.0\], wanted above 0 and below 1"):
        seasonal_naive(np.ones((1, 3)), 1).quantile_NHQ(np.array([1.0]))
