"""Past days drawn again: the window's own quantiles, dependence kept, volatility of today, gaps, short series."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.models.volatility import residuals, simulated
from tests.apps.risk.models.plain_simulation import (
    Ewma,
    draw_days,
    filtered_historical_simulation,
    historical_simulation,
)

NAN = np.nan
LEVEL = np.array([0.01, 0.025, 0.05])


def two_assets(steps: int = 400, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    one = generator.standard_t(4, size=steps)
    return np.stack([one, 0.5 * one + generator.normal(size=steps)])


def test_one_step_is_the_window_itself() -> None:
    history = two_assets()
    var, es = historical_simulation(history, paths=1).tail(1, LEVEL)
    for n in range(2):
        worst = np.sort(history[n, -250:])
        # 1, 2.5 and 5 % of 250 are 2.5, 6.25 and 12.5 draws
        assert var[n].tolist() == [worst[2], worst[6], worst[12]]
        assert es[n, 0] == pytest.approx((worst[0] + worst[1] + 0.5 * worst[2]) / 2.5)
        assert es[n, 2] == pytest.approx((worst[:12].sum() + 0.5 * worst[12]) / 12.5)


def test_a_portfolio_of_one_step_is_the_windows_portfolio() -> None:
    history, weight = two_assets(), np.array([[0.3, -0.7]])
    var = historical_simulation(history, paths=1000).portfolios(weight).tail(1, LEVEL).var_NL[0]
    worst = np.sort(weight[0] @ history[:, -250:])
    assert var.tolist() == [worst[2], worst[6], worst[12]]


def test_each_day_is_drawn_equally_often_and_by_the_seed() -> None:
    day = draw_days(50, 3, 120, seed=4)
    assert day.shape == (150, 3)
    assert all(np.bincount(day[:, h]).tolist() == [3] * 50 for h in range(3))
    assert abs(np.corrcoef(day[:, 0], day[:, 1])[0, 1]) < 0.25
    assert np.array_equal(day, draw_days(50, 3, 120, seed=4))
    assert not np.array_equal(day, draw_days(50, 3, 120, seed=5))


def test_the_variance_of_ten_steps_is_ten_variances() -> None:
    # days drawn without relation: the variance of a sum is the sum of variances
    history = two_assets()
    path = historical_simulation(history, horizon=10, paths=20_000, seed=1).path_SNH.sum(axis=2)
    assert path.var(axis=0) == pytest.approx(10 * history[:, -250:].var(axis=1), rel=0.05)
    assert np.corrcoef(path.T)[0, 1] == pytest.approx(np.corrcoef(history[:, -250:])[0, 1], abs=0.03)


def test_ewma_is_its_definition() -> None:
    value = np.random.default_rng(2).normal(size=100)
    variance = Ewma(0.1, 0.9).variances(value)
    shock = (value - 0.1) ** 2
    weight = 0.94 ** np.arange(75)
    expected = [np.average(shock[:75], weights=weight)]
    for square in shock:
        expected.append(0.9 * expected[-1] + 0.1 * square)
    assert variance == pytest.approx(expected, rel=1e-12)
    assert Ewma(0.1, 0.9).step(variance[-1:], np.array([2.0])) == pytest.approx(0.9 * expected[-1] + 0.4)


def test_filtered_is_the_windows_days_at_todays_volatility() -> None:
    history = two_assets()
    history[:, -20:] *= 5.0  # a storm begins
    ewma = [Ewma(), Ewma()]
    var = filtered_historical_simulation(history, ewma, window=250, paths=1).tail(1, LEVEL).var_NL
    for n in range(2):
        variance = Ewma().variances(history[n])
        rescaled = history[n] / np.sqrt(variance[:-1]) * np.sqrt(variance[-1])  # Hull & White 1998
        assert var[n] == pytest.approx(np.sort(rescaled[-250:])[[2, 6, 12]])
    calm = historical_simulation(history[:, :-20]).tail(1, LEVEL).var_NL
    assert (var < 2.0 * calm).all()


def test_the_variance_moves_on_along_a_path() -> None:
    # by hand: variance 4, residuals 1 then 2: shocks 2, then 2 × sqrt(.94 × 4 + .06 × 4)
    path = simulated(np.array([[[1.0, 2.0]]]), [Ewma(0.5)], np.array([4.0]))
    assert path[0, 0] == pytest.approx([2.5, 0.5 + 2.0 * 2.0])
    path = simulated(np.array([[[3.0, 2.0]]]), [Ewma(0.5)], np.array([4.0]))
    assert path[0, 0] == pytest.approx([6.5, 0.5 + 2.0 * np.sqrt(0.94 * 4 + 0.06 * 36)])


def test_dependence_is_kept() -> None:
    history = two_assets(1200)
    path = filtered_historical_simulation(history, horizon=5, paths=10_000).path_SNH
    z, _ = residuals(history, [Ewma(float(row.mean())) for row in history])
    expected = np.corrcoef(z[:, -1000:])[0, 1]
    assert np.corrcoef(path[:, :, 0].T)[0, 1] == pytest.approx(expected, abs=1e-9)
    assert np.corrcoef(path[:, :, 4].T)[0, 1] == pytest.approx(expected, abs=0.1)


def test_gaps_short_constant_and_empty_series_are_scored_or_refused_with_a_reason() -> None:
    history = np.stack([*two_assets(), *two_assets(seed=1), np.full(400, 3.0), np.full(400, 1e18)])
    history[1, ::3] = NAN
    history[2, :-10] = NAN
    history[3] = NAN
    history[5, ::2] *= -1.0
    for forecast in (
        historical_simulation(history, horizon=2),
        filtered_historical_simulation(history, horizon=2),
    ):
        assert forecast.reason_N == ("", "", "too_short", "all_missing", "constant", "")
        assert np.isnan(forecast.path_SNH[0, :, 0]).tolist() == [False, False, True, True, False, False]
        assert (forecast.path_SNH[:, 4] == 3.0).all()
    own = historical_simulation(history).path_SNH[:, 1]
    assert np.isin(own, history[1][~np.isnan(history[1])]).all()


def test_numbers_beyond_all_variance_are_refused_with_a_reason() -> None:
    history = two_assets()
    history[1] *= 1e200
    forecast = filtered_historical_simulation(history)
    assert forecast.reason_N == ("", "too_large")
    assert np.isnan(forecast.path_SNH[:, 1]).all()


def test_impossible_input_is_refused() -> None:
    with pytest.raises(ValueError, match="history has 1 infinite values"):
        historical_simulation(np.array([[1.0, np.inf]]))
    with pytest.raises(ValueError, match=r"history has shape \(3,\), wanted \(entities, steps\)"):
        historical_simulation(np.ones(3))
    with pytest.raises(ValueError, match="there are 1 volatilities for 2 entities"):
        filtered_historical_simulation(np.ones((2, 30)), [Ewma()])
    with pytest.raises(ValueError, match="wanted a window, horizon and paths of 1 or more, got 250, 0, 250"):
        historical_simulation(two_assets(), horizon=0)
