"""Acerbi & Szekely's tests: by hand, their published critical values, MATLAB's tables, true and false ES."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t

from apps.risk.metrics.es_tests import acerbi_szekely_z1, acerbi_szekely_z2

NAN = np.nan
LEVEL = 0.025


def normal_tail(days: int) -> tuple[np.ndarray, np.ndarray]:
    var = norm.ppf(LEVEL)
    return np.full(days, var), np.full(days, -norm.pdf(var) / LEVEL)


def student_tail(days: int, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    # McNeil, Frey & Embrechts, "Quantitative risk management" 2005, example 2.19
    var = student_t.ppf(LEVEL, freedom)
    es = -student_t.pdf(var, freedom) / LEVEL * (freedom + var**2) / (freedom - 1)
    return np.full(days, var), np.full(days, es)


def null_law(draw_ST: np.ndarray, var_T: np.ndarray, es_T: np.ndarray) -> np.ndarray:
    """Z2 of each draw, day by day as printed, in the paper's signs (VaR and ES positive)."""
    hits = draw_ST + -var_T < 0
    return (draw_ST * hits / -es_T).sum(axis=1) / (len(var_T) * LEVEL) + 1.0


def test_statistics_by_hand() -> None:
    return_T = np.array([-3.0, 1.0, -2.0, NAN, 0.0])
    var_T, es_T = np.full(5, -1.0), np.full(5, -2.0)
    draw_ST = np.zeros((3, 5))
    z1 = acerbi_szekely_z1(return_T, var_T, es_T, draw_ST)
    assert z1.statistic == pytest.approx(1.0 - (1.5 + 1.0) / 2)
    assert (z1.days, z1.exceedances) == (4, 2)
    # 2.5 / (4 days × 25 %)
    z2 = acerbi_szekely_z2(return_T, var_T, es_T, 0.25, draw_ST)
    assert z2.statistic == pytest.approx(1.0 - 2.5)
    # no draw is as low; none of the draws has an exceedance, so that test 1 has none to compare
    assert z2.p_value == 1 / 4
    assert z1.p_value == 1.0
    assert np.isnan([z1.p_asymptotic, z2.p_asymptotic]).all()


@pytest.mark.parametrize("freedom", [5, 100])
def test_the_papers_critical_value_of_test_2(freedom: int) -> None:
    # Acerbi & Szekely 2014: -0.7 at 5 %, 97.5 % ES and 250 days, much the same for all but the fattest tails
    var_T, es_T = student_tail(250, freedom)
    draw_ST = student_t.rvs(freedom, size=(6000, 250), random_state=freedom)
    assert np.quantile(null_law(draw_ST, var_T, es_T), 0.05) == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize(
    ("freedom", "size", "critical", "tolerance"),
    [(3, 0.01, -0.42986, 0.06), (10, 0.05, -0.2268, 0.03)],
)
def test_matlabs_critical_values_for_student_returns(
    freedom: int, size: float, critical: float, tolerance: float
) -> None:
    # MathWorks, 1966 days, 97.5 %: page of esbacktest.unconditionalT (3 degrees of freedom, 99 %), and page of
    # esbacktestbysim.unconditional (10 degrees, 95 %, 1000 scenarios)
    var_T, es_T = student_tail(1966, freedom)
    draw_ST = student_t.rvs(freedom, size=(2000, 1966), random_state=1)
    assert np.quantile(null_law(draw_ST, var_T, es_T), size) == pytest.approx(critical, abs=tolerance)


def test_matlabs_p_value_for_normal_returns() -> None:
    # MathWorks, page of esbacktest.unconditionalNormal: 1966 days, 97.5 %, Z2 = -.38265: p .0054099, critical
    # value at 99 % -.34639 (both from a simulated table)
    var_T, es_T = normal_tail(1966)
    draw_ST = np.random.default_rng(0).normal(size=(4000, 1966))
    law = null_law(draw_ST, var_T, es_T)
    assert np.quantile(law, 0.01) == pytest.approx(-0.34639, abs=0.02)
    # returns made to have that statistic: one deep loss
    return_T = np.zeros(1966)
    return_T[7] = es_T[0] * 1.38265 * 1966 * LEVEL
    ours = acerbi_szekely_z2(return_T, var_T, es_T, LEVEL, draw_ST)
    assert ours.statistic == pytest.approx(-0.38265)
    assert ours.p_value == pytest.approx(0.0054099, abs=4 * np.sqrt(0.0054 / 4000))
    assert ours.p_value == (1 + np.sum(law <= ours.statistic)) / 4001


def test_true_forecasts_pass_as_often_as_they_should() -> None:
    generator = np.random.default_rng(3)
    var_T, es_T = normal_tail(250)
    draw_ST = generator.normal(size=(999, 250))
    passed = {"z1": 0, "z2": 0}
    for _ in range(200):
        return_T = generator.normal(size=250)
        passed["z1"] += acerbi_szekely_z1(return_T, var_T, es_T, draw_ST).p_value > 0.1
        passed["z2"] += acerbi_szekely_z2(return_T, var_T, es_T, LEVEL, draw_ST).p_value > 0.1
    # binomial standard error over 200: .021
    assert passed["z1"] / 200 == pytest.approx(0.9, abs=0.07)
    assert passed["z2"] / 200 == pytest.approx(0.9, abs=0.07)


def test_an_es_too_shallow_fails() -> None:
    generator = np.random.default_rng(4)
    return_T = student_t.rvs(3, size=1500, random_state=1) / np.sqrt(3)
    var_T, es_T = normal_tail(1500)
    draw_ST = generator.normal(size=(999, 1500))
    assert acerbi_szekely_z1(return_T, var_T, es_T, draw_ST).p_value <= 0.01
    assert acerbi_szekely_z2(return_T, 0.8 * var_T, 0.8 * es_T, LEVEL, 0.8 * draw_ST).p_value <= 0.01


def test_without_an_exceedance_test_1_says_nothing_and_test_2_is_one() -> None:
    var_T, es_T = normal_tail(50)
    draw_ST = np.random.default_rng(0).normal(size=(99, 50))
    z1 = acerbi_szekely_z1(np.zeros(50), var_T, es_T, draw_ST)
    assert np.isnan([z1.statistic, z1.p_value]).all()
    z2 = acerbi_szekely_z2(np.zeros(50), var_T, es_T, LEVEL, draw_ST)
    assert (z2.statistic, z2.p_value, z2.exceedances) == (1.0, 1.0, 0)


def test_impossible_inputs_are_refused() -> None:
    return_T, var_T, es_T, draw_ST = np.zeros(4), np.full(4, -1.0), np.full(4, -2.0), np.zeros((9, 4))
    with pytest.raises(ValueError, match=r"level is 0\.975, wanted the tail's probability"):
        acerbi_szekely_z2(return_T, var_T, es_T, 0.975, draw_ST)
    with pytest.raises(ValueError, match="es is 0 or above, or above var, 4 times"):
        acerbi_szekely_z1(return_T, var_T, -es_T, draw_ST)
    with pytest.raises(ValueError, match="es is 0 or above, or above var, 1 times"):
        acerbi_szekely_z1(return_T, var_T, np.array([-2.0, -0.5, -2.0, -2.0]), draw_ST)
    with pytest.raises(ValueError, match=r"draws have shape \(4,\), wanted draws by days"):
        acerbi_szekely_z1(return_T, var_T, es_T, return_T)
    with pytest.raises(ValueError, match=r"wanted equal: return_T \(4,\), draws_of_a_day \(3,\)"):
        acerbi_szekely_z1(return_T, var_T, es_T, draw_ST[:, :3])
    with pytest.raises(ValueError, match="a draw is missing or infinite where the return counts"):
        acerbi_szekely_z1(return_T, var_T, es_T, np.where(np.arange(4) == 1, NAN, draw_ST))
    # the same draw beside a day without a return is not looked at
    gap = np.array([0.0, NAN, -3.0, 0.0])
    assert acerbi_szekely_z1(gap, var_T, es_T, np.where(np.arange(4) == 1, NAN, draw_ST)).days == 3
