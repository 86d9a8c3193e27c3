"""Quantiles between and beyond those given, against scipy's laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from apps.risk.models.quantile_curve import below_weights, curve_weights, fit_shape, shortfall_weights
from apps.risk.models.sizes import QUANTILE_LEVELS

LEVELS = np.array(QUANTILE_LEVELS)
TAIL = np.array([0.01, 0.025, 0.05])


def test_given_quantiles_come_back_and_a_normal_law_is_exact_within() -> None:
    normal_Q = 3.0 + 2.0 * stats.norm.ppf(LEVELS)
    np.testing.assert_allclose(normal_Q @ curve_weights(LEVELS, LEVELS, (0.2, 0.2)), normal_Q)
    at_S = np.linspace(0.006, 0.994, 200)
    expected = 3.0 + 2.0 * stats.norm.ppf(at_S)
    np.testing.assert_allclose(normal_Q @ curve_weights(LEVELS, at_S, (0.2, 0.2)), expected)


def test_beyond_the_outermost_quantiles_a_pareto_tail_is_exact() -> None:
    """Of a Lomax law of shape c the excess over any threshold is a generalised Pareto law of shape 1 / c."""
    law, at_S = stats.lomax(5.0), np.array([0.996, 0.999, 0.9999])
    weights = curve_weights(LEVELS, at_S, (0.2, 0.2))
    np.testing.assert_allclose(law.ppf(LEVELS) @ weights, law.ppf(at_S))
    mirrored = curve_weights(LEVELS, 1.0 - at_S, (0.2, 0.2))
    np.testing.assert_allclose(-law.ppf(1.0 - LEVELS) @ mirrored, -law.ppf(at_S))


def test_quantiles_rise_with_their_level() -> None:
    drawn = np.sort(np.random.default_rng(0).standard_t(3, size=(50, len(LEVELS))), axis=1)
    at_S = np.linspace(1e-4, 1 - 1e-4, 999)
    assert (np.diff(drawn @ curve_weights(LEVELS, at_S, (0.3, 0.05)), axis=1) >= -1e-12).all()


@pytest.mark.parametrize(("freedom", "shape"), [(4.0, 0.25), (100.0, 0.02)])
def test_shortfall_of_a_students_t(freedom: float, shape: float) -> None:
    law = stats.t(freedom)
    expected = [law.expect(ub=law.ppf(level)) / level for level in TAIL]
    seen = law.ppf(LEVELS) @ shortfall_weights(LEVELS, TAIL, (shape, 0.2))
    np.testing.assert_allclose(seen, expected, rtol=0.02)


def test_shortfall_is_the_mean_of_the_curve_below() -> None:
    quantile_Q = stats.skewnorm(-2).ppf(LEVELS)
    deep_S = (np.arange(400_000) + 0.5) / 400_000 * 0.025
    mean = (quantile_Q @ curve_weights(LEVELS, deep_S, (0.15, 0.2))).mean()
    shortfall = quantile_Q @ shortfall_weights(LEVELS, np.array([0.025]), (0.15, 0.2))
    np.testing.assert_allclose(shortfall, mean, rtol=1e-4)


def test_the_shape_of_the_tail_is_found() -> None:
    draw = np.random.default_rng(0)
    for freedom, low, high in ((3.0, 0.2, 0.42), (60.0, 0.0, 0.12)):
        law = stats.t(freedom)
        value_D = law.rvs(400_000, random_state=draw)
        quantile_DQ = np.broadcast_to(law.ppf(LEVELS), (len(value_D), len(LEVELS)))
        assert low < fit_shape(quantile_DQ, LEVELS, value_D) < high
    assert fit_shape(quantile_DQ[:50], LEVELS, value_D[:50]) == 0.2


def test_levels_without_anchors_are_a_fault() -> None:
    with pytest.raises(ValueError, match=r"must hold 2\.5 % and 97\.5 %"):
        curve_weights(np.array([0.1, 0.5, 0.9]), TAIL, (0.2, 0.2))


def test_the_integral_of_the_curve_is_that_of_its_quantiles() -> None:
    quantile_Q, shapes = stats.t(4).ppf(LEVELS), (0.2, 0.3)
    middle_S = (np.arange(400_000) + 0.5) / 400_000
    value_S = quantile_Q @ curve_weights(LEVELS, middle_S, shapes)
    at_K = np.array([0.001, 0.005, 0.01, 0.2, 0.5, 0.9, 0.999, 1.0])
    result_K = quantile_Q @ below_weights(LEVELS, at_K, shapes)
    wanted_K = [value_S[middle_S < at].sum() / 400_000 for at in at_K]
    np.testing.assert_allclose(result_K, wanted_K, atol=2e-5)
    assert (quantile_Q @ below_weights(LEVELS, np.zeros(1), shapes))[0] == 0.0
