"""One row of a backtest: each figure is that of its own function, on the days that count."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import norm

from apps.risk.metrics.block_bootstrap import mean_loss_interval
from apps.risk.metrics.coverage_tests import exceedances, kupiec
from apps.risk.metrics.dynamic_quantile import dynamic_quantile
from apps.risk.metrics.tail_figures import (
    TailFigures,
    common_lags,
    mean_losses,
    tail_figures,
    tail_losses,
    too_few_expected,
)
from apps.risk.metrics.tail_scores import fissler_ziegel_loss, pinball_loss

LEVELS = np.array([0.01, 0.025, 0.05])
VAR = norm.ppf(LEVELS)
ES = -norm.pdf(VAR) / LEVELS
DAYS = 250


def case(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of changing volatility, with the true VaR and ES of each day."""
    generator = np.random.default_rng(seed)
    sd_T1 = np.exp(0.3 * np.sin(np.arange(DAYS) / 20.0))[:, None]
    return sd_T1[:, 0] * generator.normal(size=DAYS), sd_T1 * VAR, sd_T1 * ES


def test_figures_are_those_of_their_functions() -> None:
    return_T, var_TL, es_TL = case()
    rows = tail_figures(return_T, var_TL, es_TL, LEVELS)
    assert [row.level for row in rows] == LEVELS.tolist()
    row = rows[2]
    assert (row.days, row.test_days) == (DAYS, DAYS)
    assert row.pinball == pytest.approx(pinball_loss(return_T, var_TL[:, 2], 0.05).mean(), rel=1e-12)
    assert row.fz == pytest.approx(
        fissler_ziegel_loss(return_T, var_TL[:, 2], es_TL[:, 2], 0.05).mean(), rel=1e-12
    )
    hit_T = exceedances(return_T, var_TL[:, 2])
    assert (row.exceedances, row.share) == (hit_T.sum(), hit_T.mean())
    assert row.kupiec_p == kupiec(hit_T, 0.05).p_value
    assert row.dq_p == dynamic_quantile(return_T, var_TL[:, 2], 0.05).p_value
    assert row.pinball_low < row.pinball < row.pinball_high
    assert row.fz_low < row.fz < row.fz_high
    assert row.zone == "green"
    assert math.isnan(row.dm_pinball)
    assert row.z2_p > 0.05


def test_a_model_that_halves_the_risk_is_found_out() -> None:
    return_T, var_TL, es_TL = case()
    first = tail_losses(return_T, var_TL, es_TL, LEVELS)
    low = tail_figures(return_T, 0.5 * var_TL, 0.5 * es_TL, LEVELS, first)
    for row in low:
        assert row.zone == "red"
        assert max(row.kupiec_p, row.conditional_p, row.dq_p, row.z2_p) < 0.01
        assert row.dm_pinball > 0.0
        assert row.dm_fz > 0.0
    assert low[2].dm_fz_p < 0.05


def test_of_overlapping_outcomes_tests_see_every_tenth_and_losses_all() -> None:
    return_T, var_TL, es_TL = case()
    return_T[:3] = np.nan
    var_TL[5], es_TL[5] = np.nan, np.nan
    row = tail_figures(return_T, var_TL, es_TL, LEVELS, horizon=10)[2]
    assert (row.days, row.test_days) == (DAYS - 4, DAYS // 10 - 1)  # day 0 is a multiple of ten
    assert row.exceedances == exceedances(return_T[10::10], var_TL[10::10, 2]).sum()


def test_prices_have_a_pinball_loss_and_no_other() -> None:
    return_T, var_TL, es_TL = case()
    row = tail_figures(return_T + 100.0, var_TL + 100.0, es_TL + 100.0, LEVELS)[0]
    assert row.pinball > 0.0
    assert row.kupiec_p > 0.0
    assert all(math.isnan(value) for value in (row.fz, row.fz_low, row.z1, row.z2_p))


def test_too_few_days_have_no_figures() -> None:
    return_T, var_TL, es_TL = case()
    return_T[19:] = np.nan
    rows = tail_figures(return_T, var_TL, es_TL, LEVELS, tail_losses(return_T, var_TL, es_TL, LEVELS))
    wanted = TailFigures(level=0.05, days=19, test_days=19)
    assert str(dataclasses.asdict(rows[2])) == str(dataclasses.asdict(wanted))
    nothing = tail_figures(np.full(DAYS, np.nan), var_TL, es_TL, LEVELS)
    assert [row.days for row in nothing] == [0, 0, 0]


def test_all_losses_share_the_days_drawn_in_blocks_of_a_horizon_at_least() -> None:
    loss_TL = np.random.default_rng(0).normal(size=(100, 1))
    (one_3,), (other_3,) = mean_losses(loss_TL, 2.0 * loss_TL, 10, seed=0)
    np.testing.assert_allclose(other_3, 2.0 * one_3, rtol=1e-12)
    np.testing.assert_allclose(one_3[1:], mean_loss_interval(loss_TL, 10.0)[:, 0], rtol=1e-12)
    pinball_L3, fz_L3 = mean_losses(loss_TL, np.full((100, 1), np.nan), 1, seed=0)
    assert np.isfinite(pinball_L3).all()
    assert np.isnan(fz_L3).all()


def test_lags_grow_with_the_days() -> None:
    assert [common_lags(days, 1) for days in (2, 100, 2500)] == [1, 4, 8]
    assert common_lags(100, 10) == 9


@pytest.mark.parametrize(
    ("level", "days", "few"),
    [(0.01, 250, False), (0.01, 199, True), (0.025, 80, False), (0.025, 79, True), (0.05, 40, False)],
)
def test_tests_speak_from_the_exceedances_that_the_supervisor_expects(
    level: float, days: int, few: bool
) -> None:
    assert too_few_expected(level, days) is few


def test_a_test_of_too_few_expected_exceedances_says_nothing() -> None:
    """Twenty sums over ten days expect 0.2 exceedances at 1 %: p was 1.000, and passed."""
    return_T, var_TL, es_TL = (values[:200] for values in case())
    rows = tail_figures(return_T, var_TL, es_TL, LEVELS, horizon=10)
    tests = [field.name for field in dataclasses.fields(TailFigures) if field.name.endswith("_p")]
    for row in rows:
        assert row.test_days == 20
        assert row.share == row.exceedances / 20
        assert all(math.isnan(getattr(row, name)) for name in tests)
        assert row.zone == ""
        assert row.pinball > 0.0


def test_independence_is_asked_of_two_exceedances_or_more() -> None:
    """Of one there is one arrangement but for the ends: its p-value says nothing."""
    _, var_TL, es_TL = case()
    for hits, speaks in ((1, False), (2, True)):
        calm_T = np.where(np.arange(DAYS) < hits, 1.01 * var_TL[:, 0], 0.0)
        row = tail_figures(calm_T, var_TL, es_TL, LEVELS)[0]
        assert row.exceedances == hits
        assert math.isfinite(row.independence_p) is speaks
        assert math.isfinite(row.kupiec_p)
