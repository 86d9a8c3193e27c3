"""The short twin: sizes that can be worked out are met, and the record holds every test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2
from scipy.stats import t as student_t

from benchmarks.risk.simulated_size import SizeTable
from benchmarks.risk.tests_size import FREEDOM, NOMINAL, backtests, cells, run, true_tail


def test_the_record_holds_every_test() -> None:
    record = run(samples="40", days="60,80", levels="0.05")
    assert len(record["sizes"]) == 8
    measured = {(test, method) for test, methods in record["sizes"].items() for method in methods}
    assert measured == set(backtests())
    for methods in record["sizes"].values():
        for by_level in methods.values():
            assert set(by_level) == {"0.05"}
            assert set(by_level["0.05"]) == {"60", "80"}
            for cell in by_level["0.05"].values():
                assert 0.0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1.0
    assert len(record["headline"]) == len(measured) == 12
    assert "40 samples a cell" in record["protocol"]
    assert (
        run(samples="40", days="80", levels="0.05")["sizes"]["kupiec"]["exact"]["0.05"]["80"]
        == (record["sizes"]["kupiec"]["exact"]["0.05"]["80"])
    )


def kupiec_size(days: int, level: float) -> float:
    """Return the true size of the asymptotic test, by summing over the binomial law."""
    x = np.arange(days + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.nan_to_num(x * np.log(x / days)) + np.nan_to_num((days - x) * np.log1p(-x / days))
    ratio = 2.0 * (best - x * np.log(level) - (days - x) * np.log1p(-level))
    return float(binom.pmf(x, days, level)[chi2.sf(ratio, 1) <= NOMINAL].sum())


def test_kupiecs_true_size_is_met() -> None:
    """9.5 % at 1 % VaR and 250 days (it claims 5 %); the exact one keeps below what it claims."""
    assert kupiec_size(250, 0.01) == pytest.approx(0.095, abs=0.001)
    p_values, _ = backtests()["kupiec", "asymptotic"]
    exact, _ = backtests()["kupiec", "exact"]
    hit_BT = np.random.default_rng(5).random((4000, 250)) < 0.01
    assert np.mean(p_values(hit_BT, 0.01) <= NOMINAL) == pytest.approx(kupiec_size(250, 0.01), abs=0.014)
    assert np.mean(exact(hit_BT, 0.01) <= NOMINAL) < 0.05 + 0.01


def test_the_traffic_light_turns_as_the_binomial_law_says() -> None:
    """Basel 1996, table 2: at 250 days yellow begins with the fifth exceedance."""
    light, _ = backtests()["basel traffic light", "not green"]
    hit_BT = np.arange(250) < np.array([[4], [5], [20]])
    assert light(hit_BT, 0.01).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_the_true_tail_is_that_of_the_law(level: float) -> None:
    draw = student_t.rvs(FREEDOM, size=400_000, random_state=np.random.default_rng(1))
    var, es = true_tail(level)
    assert np.mean(draw < var) == pytest.approx(level, rel=0.03)
    assert draw[draw < var].mean() == pytest.approx(es, rel=0.02)


def test_returns_are_put_around_the_exceedances_given() -> None:
    """The test of ES sees as many exceedances as were drawn: without one, its p-value is not defined."""
    z1, share = backtests()["acerbi-szekely 1", "monte carlo"]
    hit_BT = np.zeros((2, 100), dtype=bool)
    hit_BT[1, 40:45] = True
    p_B = z1(hit_BT, 0.05)
    assert np.isnan(p_B[0])
    assert 0.0 < p_B[1] <= 1.0
    assert share == 5


def test_cells_have_exact_intervals() -> None:
    """Clopper-Pearson: of 0 in 100 the upper bound is 1 - .025^(1/100)."""
    table = SizeTable(0.01, 0.05, 100, np.array([250]), np.array([0.0]), np.array([0.0]))
    cell = cells(table)["250"]
    assert (cell["value"], cell["low"]) == (0.0, 0.0)
    assert cell["high"] == pytest.approx(1.0 - 0.025 ** (1 / 100))
