"""Diebold & Mariano's test against published figures, the plain t-test, and a HAC variance written out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp

from apps.risk.metrics.diebold_mariano import diebold_mariano

NAN = np.nan
PUBLISHED = json.loads((Path(__file__).parents[3] / "golden" / "diebold_mariano.json").read_text("utf-8"))


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=str)
def test_published_p_values(case: dict) -> None:
    loss = {"squared": np.square, "absolute": np.abs}[case["loss"]]
    ets, arima = (loss(np.array(PUBLISHED["errors"][name])) for name in ("ets", "arima"))
    ours = diebold_mariano(ets, arima, horizon=case["horizon"])
    assert ours.p_two_sided == pytest.approx(case["p_two_sided"], abs=1e-3)
    assert (ours.days, ours.lags, ours.kernel) == (20, case["horizon"] - 1, "rectangular")


def test_one_step_without_lags_is_the_t_test() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.gamma(2.0, size=(2, 300))
    ours = diebold_mariano(one, other)
    theirs = ttest_1samp(one - other, 0.0)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p_two_sided == pytest.approx(theirs.pvalue)


def plain(difference: list[float], horizon: int, lags: int, bartlett: bool) -> float:
    n = len(difference)
    mean = sum(difference) / n
    total = 0.0
    for i in range(n):
        for j in range(n):
            if abs(i - j) <= lags:
                weight = 1.0 - abs(i - j) / (lags + 1) if bartlett else 1.0
                total += weight * (difference[i] - mean) * (difference[j] - mean)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    return mean / np.sqrt(total / n / n) * np.sqrt(correction)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(0, 8))
def test_the_variance_is_the_sum_over_all_pairs_of_days(seed: int, horizon: int, lags: int) -> None:
    one, other = np.random.default_rng(seed).gamma(2.0, size=(2, 40))
    ours = diebold_mariano(one, other, horizon, lags, "bartlett")
    expected = plain((one - other).tolist(), horizon, lags, bartlett=True)
    assert ours.statistic == pytest.approx(expected)
    assert ours.p_two_sided == pytest.approx(2 * student_t.sf(abs(expected), 39))
    swapped = diebold_mariano(other, one, horizon, lags, "bartlett")
    assert swapped.statistic == -ours.statistic
    assert swapped.p_first_better == pytest.approx(1.0 - ours.p_first_better)


def test_a_rectangular_variance_below_zero_is_taken_again_with_bartlett() -> None:
    wave = np.tile([1.0, -1.0], 20)
    one, other = wave + 0.1, np.zeros(40)
    ours = diebold_mariano(one, other, horizon=2)
    assert ours.kernel == "bartlett"
    assert ours.statistic == pytest.approx(plain((one - other).tolist(), 2, 1, bartlett=True))
    assert diebold_mariano(one, other, horizon=2, lags=0).kernel == "rectangular"


def test_clustered_losses_need_lags_to_keep_the_size() -> None:
    generator = np.random.default_rng(1)
    rejected = {0: 0, 20: 0}
    for _ in range(200):
        shock = generator.normal(size=600)
        difference = np.convolve(shock, np.ones(10), mode="valid")
        for lags in rejected:
            result = diebold_mariano(difference, np.zeros(591), lags=lags, kernel="bartlett")
            rejected[lags] += result.p_two_sided <= 0.05
    assert rejected[0] / 200 > 0.3
    assert rejected[20] / 200 < 0.15


def test_equal_losses_and_a_difference_that_never_varies() -> None:
    loss = np.array([1.0, 2.0, 3.0])
    equal = diebold_mariano(loss, loss)
    assert (equal.statistic, equal.p_two_sided, equal.p_first_better) == (0.0, 1.0, 0.5)
    better = diebold_mariano(loss - 1.0, loss)
    assert (better.statistic, better.p_two_sided, better.p_first_better) == (-np.inf, 0.0, 0.0)
    assert better.mean_difference == -1.0


def test_days_missing_in_either_loss_are_left_out() -> None:
    generator = np.random.default_rng(2)
    one, other = generator.gamma(2.0, size=(2, 50))
    gapped = diebold_mariano(np.insert(one, [3, 9], NAN), np.insert(other, [3, 9], [1.0, NAN]), 2)
    assert gapped == diebold_mariano(one, other, 2)
    assert diebold_mariano(one, np.where(np.arange(50) == 4, NAN, other)).days == 49


def test_impossible_inputs_are_refused() -> None:
    loss = np.arange(5.0)
    with pytest.raises(ValueError, match="horizon is 0, wanted at least 1"):
        diebold_mariano(loss, loss, horizon=0)
    with pytest.raises(ValueError, match="days that count is 5, wanted at least 6"):
        diebold_mariano(loss, loss, horizon=5)
    with pytest.raises(ValueError, match="days that count is 5, wanted at least 8"):
        diebold_mariano(loss, loss, lags=7)
    with pytest.raises(ValueError, match="lags is -1, wanted at least 0"):
        diebold_mariano(loss, loss, lags=-1)
    with pytest.raises(ValueError, match=r"wanted equal: actual \(5,\), mask \(4,\)"):
        diebold_mariano(loss, loss[:4])
    with pytest.raises(ValueError, match="other_loss_T has 1 infinite values"):
        diebold_mariano(loss, np.array([0.0, np.inf, 0.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="none of 5 outcomes counts"):
        diebold_mariano(loss, np.full(5, NAN))
