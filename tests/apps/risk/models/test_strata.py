"""Strata of a law: what is counted from them is what the law says, for those who hold it and those who sold it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from apps.risk.models.forecast import REPORTED_LEVELS, TAIL_LEVELS, PathForecast
from apps.risk.models.strata import strata


def normal(count: int) -> np.ndarray:
    """The strata of a normal law; the integral of its quantile function is minus its density."""
    return strata(norm.ppf, lambda level_K: -norm.pdf(norm.ppf(level_K)), count)


@pytest.mark.parametrize("count", [300, 1000, 1040, 20_000])
def test_var_and_es_of_the_strata_are_those_of_the_law(count: int) -> None:
    value_S = normal(count)
    assert value_S.shape == (count,)
    assert (np.diff(value_S) > -1e-12).all()
    assert value_S.mean() == pytest.approx(0.0, abs=1e-12)
    for sign in (1.0, -1.0):
        tail = PathForecast(sign * value_S[:, None, None], ("",)).tail()
        np.testing.assert_allclose(tail.var_NL[0], norm.ppf(TAIL_LEVELS), rtol=1e-9)
        np.testing.assert_allclose(tail.es_NL[0], -norm.pdf(norm.ppf(TAIL_LEVELS)) / TAIL_LEVELS, rtol=1e-9)


def test_reported_quantiles_are_those_of_the_law() -> None:
    forecast = PathForecast(normal(1000)[:, None, None], ("",))
    np.testing.assert_allclose(
        forecast.quantile_NHQ(REPORTED_LEVELS)[0, 0], norm.ppf(REPORTED_LEVELS), atol=1e-12
    )


def test_of_few_strata_the_outermost_keeps_its_mean() -> None:
    value_S = normal(100)
    assert value_S[0] == pytest.approx(-norm.pdf(norm.ppf(0.01)) / 0.01, rel=0.05)
    tail = PathForecast(value_S[:, None, None], ("",)).tail()
    wanted = -norm.pdf(norm.ppf(TAIL_LEVELS)) / TAIL_LEVELS
    np.testing.assert_allclose(tail.es_NL[0, 1:], wanted[1:], rtol=1e-9)
    np.testing.assert_allclose(tail.var_NL[0, 1:], norm.ppf(TAIL_LEVELS[1:]), rtol=1e-9)
