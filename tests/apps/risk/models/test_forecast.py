"""Quantiles, VaR and ES of paths: by hand, by plain definition, by closed form; portfolios; half a forecast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from apps.risk.models.forecast import EventForecast, PathForecast, quantiles, tail_errors, tail_of

NAN = np.nan


def test_tail_by_hand() -> None:
    # 10 draws 1…10; 5 %: half of the worst draw; 25 %: (1 + 2 + 3 / 2) / 2.5; 30 %: (1 + 2 + 3) / 3
    draw = np.arange(10.0, 0.0, -1.0)[:, None]
    var, es = tail_of(draw, np.array([0.05, 0.25, 0.3]))
    assert var[0].tolist() == [1.0, 3.0, 3.0]
    assert es[0] == pytest.approx([1.0, 4.5 / 2.5, 2.0])


def test_a_whole_share_is_not_one_rank_too_far() -> None:
    # 0.07 × 100 is 7.000000000000001 in floating point
    assert quantiles(np.arange(1.0, 101.0)[:, None], np.array([0.07]))[0, 0] == 7.0


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e18, 1e18)), st.floats(0.001, 0.999))
def test_tail_is_the_integral_of_the_quantile(draw_S: np.ndarray, level: float) -> None:
    var, es = (x[0, 0] for x in tail_of(draw_S[:, None], np.array([level])))
    assert es <= var
    assert np.mean(draw_S <= var) >= level - 1e-9
    assert var == draw_S.min() or np.mean(draw_S < var) < level
    # each sorted draw covers 1 / S of the probability; what of it lies below the level counts
    edge = np.arange(len(draw_S) + 1) / len(draw_S)
    covered = np.diff(np.minimum(edge, level))
    assert es == pytest.approx(
        np.sort(draw_S) @ covered / level, rel=1e-6, abs=1e-6 * np.abs(draw_S).max() + 1e-12
    )


def test_normal_paths_have_the_closed_form_of_a_sum() -> None:
    # the sum of 4 independent N(0, 1) is N(0, 2²); ES of N(0, 1) is -φ(z) / level
    path = np.random.default_rng(0).normal(size=(200_000, 1, 4))
    level = np.array([0.01, 0.025, 0.05])
    var, es = PathForecast(path, ("",)).tail(4, level)
    z = norm.ppf(level)
    assert var[0] == pytest.approx(2 * z, rel=0.02)
    assert es[0] == pytest.approx(-2 * norm.pdf(z) / level, rel=0.02)


def test_quantiles_are_each_steps_own() -> None:
    path = np.stack([np.arange(1.0, 101.0), np.arange(101.0, 201.0)], axis=1)[:, None]
    forecast = PathForecast(path, ("",))
    assert forecast.quantile_NHQ(np.array([0.1, 0.5])).tolist() == [[[10.0, 50.0], [110.0, 150.0]]]


def test_portfolios_are_path_by_path() -> None:
    path = np.random.default_rng(1).normal(size=(500, 3, 2))
    path[:, 1] = -path[:, 0]  # a perfect hedge
    weight = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, -0.3, 0.5]])
    forecast = PathForecast(path, ("", "", "")).portfolios(weight)
    assert np.abs(forecast.path_SNH[:, 0]).max() == 0.0
    assert np.array_equal(forecast.path_SNH[:, 1], path[:, 0])
    assert forecast.path_SNH[7, 2, 1] == pytest.approx(weight[2] @ path[7, :, 1])


def test_a_portfolio_of_a_refused_entity_is_refused_with_a_reason() -> None:
    path = np.zeros((4, 2, 1))
    path[:, 1] = NAN
    forecast = PathForecast(path, ("", "too_short"))
    assert np.isnan(forecast.tail(1).es_NL).tolist() == [[False] * 3, [True] * 3]
    both = forecast.portfolios(np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert both.reason_N == ("", "holds_refused")
    assert np.isnan(both.tail(1).var_NL).tolist() == [[False] * 3, [True] * 3]


def test_half_a_forecast_is_refused() -> None:
    path = np.zeros((4, 1, 2))
    path[2, 0, 1] = NAN
    with pytest.raises(ValueError, match="1 entities are missing in part"):
        PathForecast(path, ("",))
    with pytest.raises(ValueError, match="1 entities have no forecast and no reason"):
        PathForecast(np.full((4, 1, 2), NAN), ("",))
    with pytest.raises(ValueError, match=r"shape \(4, 2\), wanted \(paths, entities, steps\)"):
        PathForecast(np.zeros((4, 2)), ("", ""))
    with pytest.raises(ValueError, match="2 reasons for 1 entities"):
        PathForecast(np.zeros((4, 1, 2)), ("", ""))
    fine = PathForecast(np.zeros((4, 1, 2)), ("",))
    with pytest.raises(ValueError, match="steps is 3, wanted from 1 to the horizon, 2"):
        fine.tail(3)
    with pytest.raises(ValueError, match=r"level is 1\.0, wanted above 0 and below 1"):
        fine.tail(1, np.array([1.0]))
    with pytest.raises(ValueError, match=r"weights have shape \(1,\), wanted \(portfolios, 1\)"):
        fine.portfolios(np.ones(1))
    with pytest.raises(ValueError, match="a weight is missing or infinite"):
        fine.portfolios(np.full((1, 1), NAN))


def test_event_probabilities_are_probabilities_or_have_a_reason() -> None:
    assert EventForecast(np.array([0.0, 1.0, NAN]), ("", "", "all_missing")).pd_N[1] == 1.0
    with pytest.raises(ValueError, match=r"pd lies outside 0\.\.1 1 times"):
        EventForecast(np.array([1.1]), ("",))
    with pytest.raises(ValueError, match="1 clients have no pd and no reason"):
        EventForecast(np.array([NAN]), ("",))
    with pytest.raises(ValueError, match=r"pd has shape \(1,\) and there are 2 reasons"):
        EventForecast(np.array([0.5]), ("", ""))


def test_the_error_of_a_tail_is_that_over_seeds() -> None:
    """Of independent draws of Student's t, as estimated from one set of them and as 200 sets have it."""
    draw_SN = np.random.default_rng(0).standard_t(5, size=(4000, 200))
    seen, metadata = tail_of(draw_SN), tail_errors(draw_SN)
    for values_NL, errors_NL in zip(seen, metadata, strict=True):
        np.testing.assert_allclose(errors_NL.mean(axis=0), values_NL.std(axis=0), rtol=0.2)
    missing = tail_errors(np.full((100, 1), np.nan))
    assert np.isnan(missing.var_NL).all()
    assert np.isnan(missing.es_NL).all()
