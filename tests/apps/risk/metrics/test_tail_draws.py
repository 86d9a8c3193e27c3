"""Draws that have the VaR and the ES they were made from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from apps.risk.metrics.es_tests import acerbi_szekely_z2
from apps.risk.metrics.tail_draws import draws_from_tail

LEVELS = np.array([0.01, 0.025, 0.05])
NORMAL_VAR = norm.ppf(LEVELS)
NORMAL_ES = -norm.pdf(NORMAL_VAR) / LEVELS  # mean of a standard normal below its quantile


def test_draws_have_the_forecasts_var_and_es_at_each_level() -> None:
    scale_T = np.linspace(0.5, 3.0, 40)[:, None]
    draw_ST = draws_from_tail(scale_T * NORMAL_VAR, scale_T * NORMAL_ES, LEVELS, draws=20_000)
    z_S = (draw_ST / scale_T[:, 0]).ravel()
    for level, var, es in zip(LEVELS, NORMAL_VAR, NORMAL_ES, strict=True):
        assert np.mean(z_S < var) == pytest.approx(level, rel=0.02)
        assert z_S[z_S < var].mean() == pytest.approx(es, rel=0.005)
    assert np.unique(np.round(z_S[z_S > NORMAL_VAR[-1]], 9)).size == 1


def test_a_test_of_es_keeps_its_size_with_fatter_tails() -> None:
    var_L = t.ppf(LEVELS, 4)
    # mean of Student's t below its quantile: McNeil, Frey & Embrechts 2005, example 2.19
    es_L = -t.pdf(var_L, 4) / LEVELS * (4 + var_L**2) / 3
    var_TL, es_TL = np.tile(var_L, (250, 1)), np.tile(es_L, (250, 1))
    draw_ST = draws_from_tail(var_TL, es_TL, LEVELS, draws=499)
    returns = t.rvs(4, size=(300, 250), random_state=1)
    rejected = [
        acerbi_szekely_z2(return_T, var_TL[:, 1], es_TL[:, 1], 0.025, draw_ST).p_value <= 0.05
        for return_T in returns
    ]
    assert 0.02 <= np.mean(rejected) <= 0.09


def test_a_day_without_a_forecast_has_no_draws() -> None:
    var_TL, es_TL = np.tile(NORMAL_VAR, (3, 1)), np.tile(NORMAL_ES, (3, 1))
    var_TL[1], es_TL[1] = np.nan, np.nan
    draw_ST = draws_from_tail(var_TL, es_TL, LEVELS, draws=10)
    assert np.isnan(draw_ST[:, 1]).all()
    assert np.isfinite(draw_ST[:, [0, 2]]).all()


def test_a_forecast_that_is_a_point_draws_that_point() -> None:
    draw_ST = draws_from_tail(np.full((2, 3), -1.0), np.full((2, 3), -1.0), LEVELS, draws=50)
    assert np.all(draw_ST == -1.0)


@pytest.mark.parametrize(
    ("var", "es", "levels", "message"),
    [
        ([[-1.0, -2.0, -0.5]], [[-3.0, -3.0, -3.0]], [0.01, 0.025, 0.05], "wanted var that rises"),
        ([[-3.0, -2.0, -1.0]], [[-2.0, -3.0, -3.0]], [0.01, 0.025, 0.05], "and es ≤ var"),
        ([[-3.0, -2.0, -1.0]], [[-4.0, -3.0, -3.0]], [0.01, 0.05, 0.025], "wanted rising"),
        ([[-3.0, -2.0, -1.0]], [[-np.inf, -3.0, -3.0]], [0.01, 0.025, 0.05], "es_TL has 1 infinite values"),
    ],
)
def test_forecasts_that_are_none_are_refused(
    var: list[list[float]], es: list[list[float]], levels: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draws_from_tail(np.array(var), np.array(es), np.array(levels), draws=5)
