"""Baselines behind one interface: slices answer as the whole, walks as forecasts, odd series by a reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.asof import view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.history import history_NT, known_until
from apps.risk.data.panel import Panel, build_panel, part
from apps.risk.data.samples import load_sample
from apps.risk.models.baselines import (
    BASELINES,
    FilteredHistoricalSimulation,
    GjrGarch,
    HistoricalSimulation,
    SeasonalNaive,
)
from apps.risk.models.forecast import tail_errors, tail_of
from apps.risk.models.garch import walk_gjr
from tests.apps.risk.models import plain_simulation as plain

LEVELS = np.array([0.01, 0.05, 0.5, 0.95])
COLUMNS = Columns(targets=("target",))
CHEAP = ("historical_simulation", "filtered_historical_simulation", "seasonal_naive")


def panel(value_NT: np.ndarray, frequency: str = "B") -> Panel:
    """A panel of series a, b, …; NaN has no row."""
    times = pd.date_range("2020-01-01", periods=value_NT.shape[1], freq=frequency)
    wide = pd.DataFrame(value_NT.T, columns=[chr(97 + n) for n in range(len(value_NT))])
    long = wide.assign(time=times).melt("time", var_name="entity", value_name="target").dropna()
    return build_panel(view(check(long, COLUMNS).accepted, COLUMNS), COLUMNS)


def returns(entities: int, steps: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    common_T = generator.standard_t(5, steps)
    return 0.7 * common_T + 0.5 * generator.standard_t(5, (entities, steps))


def gappy() -> np.ndarray:
    value_NT = returns(4, 400)
    value_NT[1, ::3] = np.nan
    value_NT[2, :390] = np.nan
    value_NT[3, 380:] = np.nan
    return value_NT


@pytest.mark.parametrize("name", BASELINES)
def test_slices_answer_as_the_whole_does(name: str) -> None:
    whole, model = panel(gappy()), BASELINES[name]()
    assert model.name == name
    forecast = model.forecast(whole, "target", 3, 300, seed=5)
    pieces = [model.forecast(part(whole, n, n + 1), "target", 3, 300, seed=5) for n in range(4)]
    np.testing.assert_array_equal(np.concatenate([one.path_SNH for one in pieces], axis=1), forecast.path_SNH)
    assert tuple(reason for one in pieces for reason in one.reason_N) == forecast.reason_N
    quantile_NHQ = forecast.quantile_NHQ(LEVELS)
    np.testing.assert_array_equal(np.concatenate([one.quantile_NHQ(LEVELS) for one in pieces]), quantile_NHQ)
    assert np.all(np.diff(quantile_NHQ[[0, 1, 3]], axis=2) >= 0.0)


@pytest.mark.parametrize("name", BASELINES)
def test_what_came_after_the_date_changes_nothing(name: str) -> None:
    value_NT = returns(2, 320)
    later_NT = value_NT.copy()
    later_NT[:, 300:] *= -7.0
    model = BASELINES[name]()
    before, after = (
        model.forecast(known_until(panel(value), 300), "target", 2, 250, seed=1)
        for value in (value_NT, later_NT)
    )
    np.testing.assert_array_equal(before.path_SNH, after.path_SNH)
    seen = model.forecast(panel(value_NT[:, :300]), "target", 2, 250, seed=1)
    np.testing.assert_array_equal(before.path_SNH, seen.path_SNH)


@pytest.mark.parametrize("name", BASELINES)
def test_odd_series_get_a_reason_and_no_exception(name: str) -> None:
    odd_NT = np.full((4, 60), np.nan)
    odd_NT[0] = returns(1, 60)[0]
    odd_NT[1, -5:] = [1.0, 2.0, 3.0, 2.0, 1.0]
    odd_NT[2] = 4.0
    odd_NT[3, 0] = 1.0
    whole = panel(odd_NT)
    with np.errstate(all="raise", under="ignore"):
        forecast = BASELINES[name]().forecast(whole, "target", 2, 100, seed=0)
    refused = ["", "", "", ""] if name == "seasonal_naive" else ["", "too_short", "", "too_short"]
    missing_N = np.isnan(forecast.path_SNH[0, :, 0])
    assert [
        reason if gone else "" for reason, gone in zip(forecast.reason_N, missing_N, strict=True)
    ] == refused
    assert np.all(forecast.path_SNH[:, 2] == 4.0)


def test_without_gaps_both_simulations_are_those_of_their_papers() -> None:
    value_NT = returns(3, 1100)
    whole = panel(value_NT)
    past_NT = history_NT(whole, "target", 2000)
    mine = HistoricalSimulation().forecast(whole, "target", 4, 500, seed=2)
    twin = plain.historical_simulation(past_NT, 4, paths=500, seed=2)
    np.testing.assert_array_equal(np.sort(mine.path_SNH, axis=0), np.sort(twin.path_SNH, axis=0))
    filtered = FilteredHistoricalSimulation().forecast(whole, "target", 4, 1000, seed=2)
    twin = plain.filtered_historical_simulation(past_NT[:, -1250:], None, 1, paths=1000, seed=2)
    np.testing.assert_allclose(
        np.sort(filtered.path_SNH[:, :, 0], axis=0),
        np.sort(twin.path_SNH[:, :, 0], axis=0),
        rtol=1e-12,
        atol=1e-12,
    )


def test_the_first_step_of_a_short_series_has_no_noise_of_simulation() -> None:
    whole = panel(returns(1, 60))
    past_NT = history_NT(whole, "target", 60)
    forecast = HistoricalSimulation().forecast(whole, "target", 2, 1000, seed=0)
    np.testing.assert_array_equal(forecast.quantile_NHQ(LEVELS)[0, 0], np.sort(past_NT[0])[[0, 2, 29, 56]])


@pytest.mark.parametrize("model", [HistoricalSimulation(), FilteredHistoricalSimulation()])
def test_a_walk_is_the_first_step_of_each_days_forecast(
    model: HistoricalSimulation | FilteredHistoricalSimulation,
) -> None:
    whole = panel(gappy())
    past_NT = history_NT(whole, "target", 400)
    walk = model.walk(past_NT, 395)
    for day in range(5):
        forecast = model.forecast(known_until(whole, 395 + day), "target", 1, 20_000, seed=0)
        np.testing.assert_allclose(walk.var_NDL[:, day], forecast.tail().var_NL, rtol=1e-12)
        # of a window that is not full no whole number of paths is a value's share
        np.testing.assert_allclose(walk.es_NDL[:, day], forecast.tail().es_NL, rtol=3e-3)
        assert tuple(walk.reason_ND[:, day]) == forecast.reason_N
    with pytest.raises(ValueError, match="wanted 0 < begin < 400, got 400"):
        model.walk(past_NT, 400)


def test_garch_walks_as_its_own_function_and_keeps_what_it_fitted() -> None:
    value_NT = returns(2, 300)
    whole = panel(value_NT)
    past_NT = history_NT(whole, "target", 300)
    walk = GjrGarch(every=20).walk(past_NT, 290)
    np.testing.assert_array_equal(walk.var_NDL, walk_gjr(past_NT, 290, 20).var_NDL)
    fitted = GjrGarch().fitted(known_until(whole, 290), "target")
    for day in (0, 9):  # parameters of day 290, the variance of the day itself
        first = fitted.forecast(known_until(whole, 290 + day), "target", 1, 1000, seed=0)
        np.testing.assert_allclose(first.tail().var_NL, walk.var_NDL[:, day], rtol=1e-9)


def test_assets_fall_together() -> None:
    whole = panel(returns(3, 600))
    for name in (*CHEAP[:2], "gjr_garch"):
        paths_SN = BASELINES[name]().forecast(whole, "target", 5, 1000, seed=0).path_SNH.sum(axis=2)
        # the returns above have a correlation of .49 / .74
        assert np.corrcoef(paths_SN.T)[0, 1] == pytest.approx(0.66, abs=0.15)


def test_the_season_comes_from_the_calendar_and_errors_add_up_over_seasons() -> None:
    generator = np.random.default_rng(0)
    hour_T = np.arange(24 * 40) % 24
    value_NT = hour_T + generator.normal(0.0, 0.5, (1, len(hour_T)))
    whole = panel(value_NT, "h")
    forecast = SeasonalNaive().forecast(whole, "target", 48, 1000, seed=0)
    np.testing.assert_allclose(
        np.median(forecast.path_SNH, axis=0)[0], np.tile(value_NT[0, -24:], 2), atol=0.15
    )
    spread_H = forecast.path_SNH.std(axis=0)[0]
    # changes over a day have a standard deviation of √2 × 0.5, and two of them follow each other at random
    assert spread_H[:24].mean() == pytest.approx(0.5 * np.sqrt(2), rel=0.1)
    assert spread_H[24:].mean() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_the_usual_paths_leave_an_error_of_two_percent(name: str) -> None:
    """Of the ten-day 1 % VaR of real returns; it was 6.5 % with a thousand paths."""
    table = load_sample("markets").table.pivot(index="date", columns="asset", values="return")
    model = BASELINES[name]()
    result = model.forecast(
        panel(table[["S&P 500"]].to_numpy()[-2000:].T), "target", 10, model.usual_paths, 0
    )
    sum_SN = result.path_SNH.sum(axis=2)
    assert model.drawn
    assert tail_errors(sum_SN).var_NL[0, 0] < 0.02 * abs(tail_of(sum_SN).var_NL[0, 0])
