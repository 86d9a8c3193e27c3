"""The size of the tests of VaR: known figures, seeds, and laws of exact tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from apps.risk.metrics.coverage_tests import (
    conditional_coverage_p_values,
    independence_p_values,
    kupiec_p_values,
)
from benchmarks.risk.simulated_size import simulated_size


def asymptotic_kupiec(hit_BT: np.ndarray, level: float) -> np.ndarray:
    return kupiec_p_values(hit_BT, level, "asymptotic")


def test_kupiecs_true_size_at_one_percent_and_250_days_is_nine_and_a_half_percent() -> None:
    # closed form: the asymptotic test rejects 0 exceedances (LR 5.03) and 7 or more
    exact = binom.pmf(0, 250, 0.01) + binom.sf(6, 250, 0.01)
    assert exact == pytest.approx(0.095, abs=5e-4)
    table = simulated_size(asymptotic_kupiec, 0.01)
    assert table.days_D.tolist() == [250, 500, 1000]
    assert table.size_D[0] == pytest.approx(exact, abs=4 * table.standard_error_D[0])
    assert table.standard_error_D[0] == pytest.approx(np.sqrt(exact * (1 - exact) / 10_000), rel=0.05)
    # at 1000 days the asymptotic test is near its claim
    assert table.size_D[2] == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(
    "exact",
    [kupiec_p_values, conditional_coverage_p_values, lambda hit_BT, level: independence_p_values(hit_BT)],
    ids=["kupiec", "conditional coverage", "independence"],
)
def test_exact_tests_never_reject_more_than_they_claim(exact: object) -> None:
    table = simulated_size(exact, 0.05, samples=2000)  # type: ignore[arg-type]
    assert np.all(table.size_D <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000))
    assert np.all(table.size_D > 0.0)
    assert (table.level, table.nominal, table.samples) == (0.05, 0.05, 2000)


def test_a_length_depends_on_the_seed_and_on_itself_alone() -> None:
    both = simulated_size(asymptotic_kupiec, 0.05, days=(100, 250), samples=1500, seed=3)
    alone = simulated_size(asymptotic_kupiec, 0.05, days=(250,), samples=1500, seed=3)
    other = simulated_size(asymptotic_kupiec, 0.05, days=(250,), samples=1500, seed=4)
    assert both.size_D[1] == alone.size_D[0]
    assert alone.size_D[0] != other.size_D[0]


def test_p_values_are_counted_up_to_the_nominal_size_and_nan_rejects_nothing() -> None:
    def fixed(hit_BT: np.ndarray, level: float) -> np.ndarray:
        p_B = np.full(len(hit_BT), np.nan)
        p_B[:3] = [0.1, 0.05, 0.2]
        return p_B

    table = simulated_size(fixed, 0.05, days=(10,), nominal=0.1, samples=10)
    assert table.size_D.tolist() == [0.2]


def test_impossible_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level is 0\.99, wanted the tail's probability"):
        simulated_size(asymptotic_kupiec, 0.99)
    with pytest.raises(ValueError, match="nominal is 5, wanted above 0 and below 1"):
        simulated_size(asymptotic_kupiec, 0.01, nominal=5)
    with pytest.raises(ValueError, match="samples is 0, wanted at least 1"):
        simulated_size(asymptotic_kupiec, 0.01, samples=0)
    with pytest.raises(ValueError, match="number of lengths is 0, wanted at least 1"):
        simulated_size(asymptotic_kupiec, 0.01, days=())
