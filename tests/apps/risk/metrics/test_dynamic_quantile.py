"""The dynamic quantile test against the paper's formula written plainly, and under true and false VaR."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from apps.risk.metrics.dynamic_quantile import dynamic_quantile, dynamic_quantile_p_values

NAN = np.nan


def plain(return_T: np.ndarray, var_T: np.ndarray, level: float, lags: int) -> tuple[float, int]:
    """Hit' X (X'X)⁻ X' Hit / (level (1 - level)) and the rank of X, row by row."""
    hit = [float(r < v) - level for r, v in zip(return_T, var_T, strict=True)]
    rows = [[1.0, *(hit[t - k] for k in range(1, lags + 1)), var_T[t]] for t in range(lags, len(hit))]
    regressors, today = np.array(rows), np.array(hit[lags:])
    solution, _, rank, _ = np.linalg.lstsq(regressors, today, rcond=1e-7)
    return float(today @ regressors @ solution) / (level * (1 - level)), int(rank)


def market(days: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    volatility = np.exp(np.cumsum(0.05 * generator.normal(size=days)))
    return volatility * generator.normal(size=days), volatility * -1.6448536269514722


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5), st.sampled_from([0.01, 0.05, 0.25]))
def test_the_statistic_is_the_papers(seed: int, lags: int, level: float) -> None:
    return_T, var_T = market(300, seed)
    ours = dynamic_quantile(return_T, var_T, level, lags=lags, draws=1)
    statistic, rank = plain(return_T, var_T, level, lags)
    assert ours.statistic == pytest.approx(statistic, rel=1e-6)
    assert ours.p_asymptotic == pytest.approx(chi2.sf(statistic, rank), rel=1e-5)


def test_a_constant_var_and_days_without_a_hit_lower_the_rank() -> None:
    return_T, var_T = np.zeros(100), np.full(100, -1.0)
    ours = dynamic_quantile(return_T, var_T, 0.05, draws=99)
    # lagged hits and VaR are multiples of the constant: rank 1, DQ = (T - lags) level / (1 - level)
    assert ours.statistic == pytest.approx(96 * 0.05 / 0.95)
    assert ours.p_asymptotic == pytest.approx(chi2.sf(96 * 0.05 / 0.95, 1))
    assert ours.exceedances == 0


def test_a_true_var_passes_as_often_as_it_should() -> None:
    generator = np.random.default_rng(5)
    _, var_T = market(250, 1)
    hit_BT = generator.random((1500, 250)) < 0.05
    p_B = dynamic_quantile_p_values(hit_BT, 0.05, var_T, draws=1999)
    assert np.mean(p_B <= 0.05) == pytest.approx(0.05, abs=0.02)
    # with 1 % and 250 days the limit law is far off, the simulated one is not
    rare_BT = generator.random((1500, 250)) < 0.01
    asymptotic = np.mean(dynamic_quantile_p_values(rare_BT, 0.01, p_value="asymptotic") <= 0.05)
    simulated = np.mean(dynamic_quantile_p_values(rare_BT, 0.01) <= 0.05)
    assert asymptotic > 0.07
    assert simulated == pytest.approx(0.05, abs=0.02)


def test_clustered_hits_and_a_var_that_ignores_volatility_fail() -> None:
    return_T, var_T = market(1000, 3)
    assert dynamic_quantile(return_T, var_T, 0.05).p_value > 0.05
    constant = np.full(1000, np.quantile(return_T, 0.05))
    assert dynamic_quantile(return_T, constant, 0.05).p_value <= 1 / 1000


def test_the_seed_decides_the_draws_and_the_sum_is_bounded_by_them() -> None:
    return_T, var_T = market(400, 8)
    first, again, other = (dynamic_quantile(return_T, var_T, 0.05, draws=700, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.p_value != other.p_value
    assert first.statistic == other.statistic
    assert first.p_value * 701 == pytest.approx(round(first.p_value * 701))


def test_one_row_is_judged_alike_alone_and_among_others() -> None:
    return_T, var_T = market(300, 4)
    hits = (return_T < var_T)[None]
    ours = dynamic_quantile(return_T, var_T, 0.05, draws=300, seed=9)
    many = dynamic_quantile_p_values(np.repeat(hits, 3, axis=0), 0.05, var_T, draws=300, seed=9)
    assert many.tolist() == [ours.p_value] * 3


def test_the_unit_and_missing_days_change_nothing() -> None:
    return_T, var_T = market(300, 6)
    ours = dynamic_quantile(return_T, var_T, 0.05, draws=99)
    large = dynamic_quantile(1e18 * return_T, 1e18 * var_T, 0.05, draws=99)
    assert large.statistic == pytest.approx(ours.statistic, rel=1e-9)
    gapped = dynamic_quantile(
        np.insert(return_T, 150, [NAN, NAN]), np.insert(var_T, 150, [NAN, -1.0]), 0.05, draws=99
    )
    assert gapped == ours


def test_impossible_inputs_are_refused() -> None:
    return_T, var_T = market(30, 0)
    with pytest.raises(ValueError, match=r"level is 0\.99, wanted the tail's probability"):
        dynamic_quantile(return_T, var_T, 0.99)
    with pytest.raises(ValueError, match="days that count is 5, wanted at least 6"):
        dynamic_quantile(return_T[:5], var_T[:5], 0.05)
    with pytest.raises(ValueError, match="draws is 0, wanted at least 1"):
        dynamic_quantile(return_T, var_T, 0.05, draws=0)
    with pytest.raises(ValueError, match="lags is -1, wanted at least 0"):
        dynamic_quantile(return_T, var_T, 0.05, lags=-1)
    with pytest.raises(ValueError, match="var_T is missing 30 times"):
        dynamic_quantile(return_T, np.full(30, NAN), 0.05)
    with pytest.raises(ValueError, match="var_T has 1 infinite values"):
        dynamic_quantile(return_T, np.where(np.arange(30) == 3, -np.inf, var_T), 0.05)
