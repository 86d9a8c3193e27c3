"""Kupiec and Christoffersen: MATLAB's documented figures, exact p-values against all rows written out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from apps.risk.metrics.coverage_tests import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    conditional_coverage_p_values,
    exceedances,
    independence_p_values,
    kupiec,
    kupiec_p_values,
)
from tests.twins import coverage_tests as twin

NAN = np.nan


def equity_index() -> np.ndarray:
    """Hits with MATLAB's counts: 1043 days, 57 failures, N00 932, N10 53, N01 53, N11 4."""
    hits = np.zeros(1043)
    for run in range(53):
        start = 3 + 18 * run
        hits[start : start + (5 if run == 0 else 1)] = 1.0
    return hits


def test_the_sample_has_the_documented_counts() -> None:
    assert twin.steps(tuple(equity_index().astype(int))) == {(0, 0): 932, (1, 0): 53, (0, 1): 53, (1, 1): 4}


def test_matlabs_documented_figures() -> None:
    # MathWorks, Risk Management Toolbox, pages of varbacktest.pof, .cci and .cc:
    # EquityIndex, Normal95, 1043 observations, 57 failures
    hits = equity_index()
    share = kupiec(hits, 0.05)
    assert (share.days, share.exceedances) == (1043, 57)
    assert share.statistic == pytest.approx(0.46147, abs=5e-6)
    assert share.p_asymptotic == pytest.approx(0.49694, abs=5e-6)
    chain = christoffersen_independence(hits)
    assert chain.statistic == pytest.approx(0.25866, abs=5e-6)
    assert chain.p_asymptotic == pytest.approx(0.61104, abs=5e-6)
    both = christoffersen_conditional_coverage(hits, 0.05)
    assert both.statistic == pytest.approx(0.72013, abs=5e-6)
    assert both.p_asymptotic == pytest.approx(0.69763, abs=5e-6)
    assert (both.days, both.exceedances) == (1043, 57)


def test_kupiecs_exact_p_value_is_near_the_exact_binomial_test() -> None:
    # the two order the counts differently (by likelihood ratio, by probability), which moves one count or two
    ours = kupiec(equity_index(), 0.05).p_value
    other = binomtest(57, 1043, 0.05).pvalue
    assert abs(ours - other) <= 2 * binom.pmf(57, 1043, 0.05)
    assert abs(ours - 0.49694) < 0.04


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=2, max_size=9), st.sampled_from([1, 5, 20, 50]))
def test_exact_p_values_are_those_of_all_rows_written_out(hits: list[int], percent: int) -> None:
    level, row = Fraction(percent, 100), tuple(hits)
    hit_T = np.array(hits, dtype=float)
    share = kupiec(hit_T, float(level))
    assert share.statistic == pytest.approx(twin.proportion_of_failures(row, level), abs=1e-9)
    assert share.p_value == pytest.approx(float(twin.kupiec_p(row, level)), abs=1e-9)
    chain = christoffersen_independence(hit_T)
    assert chain.statistic == pytest.approx(twin.independence(row), abs=1e-9)
    assert chain.p_value == pytest.approx(float(twin.independence_p(row)), abs=1e-9)
    both = christoffersen_conditional_coverage(hit_T, float(level))
    assert both.statistic == pytest.approx(share.statistic + chain.statistic, abs=1e-12)
    assert both.p_value == pytest.approx(float(twin.conditional_coverage_p(row, level)), abs=1e-9)


def test_exact_p_values_are_those_of_simulation_over_years() -> None:
    days, level, samples = 500, 0.02, 4000
    hit_BT = np.random.default_rng(11).random((samples, days)) < level
    # a p-value of 10 % is reached by 10 % of true samples, or a little less where counts jump
    for p_B in (kupiec_p_values(hit_BT, level), conditional_coverage_p_values(hit_BT, level)):
        for p in np.quantile(p_B, [0.1, 0.5, 0.9]):
            assert np.mean(p_B <= p) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / samples) + 1e-9)


def test_rows_are_judged_as_they_would_be_alone() -> None:
    hit_BT = np.random.default_rng(2).random((50, 120)) < 0.04
    for method in ("exact", "asymptotic"):
        many = kupiec_p_values(hit_BT, 0.05, method), independence_p_values(hit_BT, method)
        both = conditional_coverage_p_values(hit_BT, 0.05, method)
        for row in range(len(hit_BT)):
            alone = hit_BT[row : row + 1]
            assert many[0][row] == kupiec_p_values(alone, 0.05, method)[0]
            assert many[1][row] == independence_p_values(alone, method)[0]
            assert both[row] == conditional_coverage_p_values(alone, 0.05, method)[0]


def test_clustered_exceedances_fail_independence_alone() -> None:
    hits = np.zeros(1000)
    hits[100:125] = hits[600:625] = 1.0
    assert kupiec(hits, 0.05).p_value > 0.05
    assert christoffersen_independence(hits).p_value < 1e-6
    assert christoffersen_conditional_coverage(hits, 0.05).p_value < 1e-6


def test_no_exceedance_and_nothing_else() -> None:
    never = np.zeros(250)
    # LR = -2 n log(1 - level)
    assert kupiec(never, 0.01).statistic == pytest.approx(-500 * np.log(0.99))
    chain = christoffersen_independence(never)
    assert (chain.statistic, chain.p_value, chain.exceedances) == (0.0, 1.0, 0)
    always = np.ones(250)
    assert kupiec(always, 0.01).p_value < 1e-300
    assert christoffersen_independence(always).p_value == 1.0
    assert christoffersen_conditional_coverage(always, 0.01).p_value < 1e-12


def test_an_exceedance_is_strictly_below_and_missing_days_stay_missing() -> None:
    hits = exceedances(np.array([-2.0, -1.0, NAN, 0.0]), np.array([-1.0, -1.0, NAN, -1.0]))
    assert hits[[0, 1, 3]].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(hits[2])


def test_days_without_a_return_close_up() -> None:
    hits = equity_index()
    gapped = np.insert(hits, [4, 5, 6, 900], NAN)
    assert len(gapped) == 1047
    assert kupiec(gapped, 0.05) == kupiec(hits, 0.05)
    assert christoffersen_independence(gapped) == christoffersen_independence(hits)
    assert christoffersen_conditional_coverage(gapped, 0.05) == christoffersen_conditional_coverage(
        hits, 0.05
    )


def test_impossible_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level is 0\.95, wanted the tail's probability"):
        kupiec(np.zeros(10), 0.95)
    with pytest.raises(ValueError, match=r"level is 0\.0, wanted the tail's probability"):
        christoffersen_conditional_coverage(np.zeros(10), 0.0)
    with pytest.raises(ValueError, match="neither 0 nor 1: give what `exceedances` returns, not returns"):
        kupiec(np.array([0.0, -0.3]), 0.05)
    with pytest.raises(ValueError, match="none of 4 outcomes counts"):
        christoffersen_independence(np.full(4, NAN))
    with pytest.raises(ValueError, match="independence over 1 day, wanted at least 2"):
        christoffersen_independence(np.array([1.0, NAN]))
    with pytest.raises(ValueError, match=r"hits have shape \(2, 3\), wanted one row of days"):
        kupiec(np.zeros((2, 3)), 0.05)
    with pytest.raises(ValueError, match=r"hits have shape \(0, 3\), wanted samples by days"):
        kupiec_p_values(np.zeros((0, 3)), 0.05)
    with pytest.raises(ValueError, match="actual has 1 infinite values"):
        exceedances(np.array([np.inf, 0.0]), np.zeros(2))
    with pytest.raises(ValueError, match="var is missing 1 times where the outcome counts"):
        exceedances(np.zeros(2), np.array([NAN, 0.0]))
