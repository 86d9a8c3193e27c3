"""Filter, distribution and horizon against arch's own and closed forms; the walk sees no future; fallbacks."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from arch import arch_model
from scipy.integrate import quad
from scipy.stats import spearmanr

from apps.risk.models.garch import (
    Gjr,
    fit_gjr,
    gjr_forecast,
    skewed_t_below,
    skewed_t_quantile,
    skewed_t_shortfall,
    walk_gjr,
)
from tests.apps.risk.models.plain_simulation import filtered_historical_simulation

NAN = np.nan
LEVEL = np.array([0.01, 0.025, 0.05])
TRUE = Gjr(0.05, 0.02, 0.03, 0.1, 0.9, 7.0, -0.1, 1.0)


def draw(steps: int, gjr: Gjr = TRUE, seed: int = 0) -> np.ndarray:
    """Values of known parameters, step by step as the model is written."""
    level = np.random.default_rng(seed).uniform(size=steps)
    z = skewed_t_quantile(level, np.array([gjr.eta, gjr.skew]))
    value, variance = np.empty(steps), gjr.start
    for t in range(steps):
        shock = math.sqrt(variance) * z[t]
        value[t] = gjr.mean + shock
        weight = gjr.alpha + (gjr.gamma if shock < 0 else 0.0)
        variance = gjr.omega + weight * shock**2 + gjr.beta * variance
    return value


@pytest.fixture(scope="module")
def history() -> np.ndarray:
    return draw(1500)


@pytest.fixture(scope="module")
def fitted(history: np.ndarray) -> Gjr:
    return fit_gjr(history)


def hansen_density(z: float, eta: float, lam: float) -> float:
    """Hansen 1994, equation 10, as printed."""
    c = math.gamma((eta + 1) / 2) / (math.sqrt(math.pi * (eta - 2)) * math.gamma(eta / 2))
    a = 4 * lam * c * (eta - 2) / (eta - 1)
    b = math.sqrt(1 + 3 * lam**2 - a**2)
    side = 1 - lam if z < -a / b else 1 + lam
    return b * c * (1 + ((b * z + a) / side) ** 2 / (eta - 2)) ** (-(eta + 1) / 2)


@pytest.mark.parametrize("shape", [(4.0, -0.3), (7.0, 0.0), (12.0, 0.2)])
def test_quantile_and_shortfall_are_integrals_of_hansens_density(shape: tuple[float, float]) -> None:
    quantile = skewed_t_quantile(LEVEL, np.array(shape))
    shortfall = skewed_t_shortfall(LEVEL, np.array(shape))
    for z, es, level in zip(quantile, shortfall, LEVEL, strict=True):
        assert quad(hansen_density, -np.inf, z, args=shape)[0] == pytest.approx(level, rel=1e-5)
        mean = quad(lambda x: x * hansen_density(x, *shape), -np.inf, z)[0] / level
        assert es == pytest.approx(mean, rel=1e-5)


def test_the_fit_filters_and_forecasts_as_arch_does(history: np.ndarray, fitted: Gjr) -> None:
    model = arch_model(history, mean="Constant", p=1, o=1, q=1, dist="skewt", rescale=False)
    theirs = model.fix(
        [fitted.mean, fitted.omega, fitted.alpha, fitted.gamma, fitted.beta, fitted.eta, fitted.skew]
    )
    variance = fitted.variances(history)
    # both start from an estimate of their own, forgotten after 400 steps
    assert np.sqrt(variance[400:-1]) == pytest.approx(
        np.asarray(theirs.conditional_volatility)[400:], rel=1e-6
    )
    assert variance[-1] == pytest.approx(theirs.forecast(horizon=1).variance.to_numpy()[-1, 0], rel=1e-6)
    best = model.fit(disp="off").loglikelihood
    assert theirs.loglikelihood == pytest.approx(best, abs=0.05)


def test_known_parameters_are_found(fitted: Gjr) -> None:
    # bounds are about three standard errors at 1,500 steps
    assert fitted.reason == ""
    assert fitted.alpha + fitted.gamma / 2 + fitted.beta == pytest.approx(0.98, abs=0.04)
    assert fitted.gamma > 0.03
    assert 4.5 < fitted.eta < 15.0
    assert fitted.skew == pytest.approx(-0.1, abs=0.12)


def test_variances_of_a_horizon_have_the_closed_form(history: np.ndarray) -> None:
    # without skew E s[t + 1] = omega + (alpha + gamma / 2 + beta) s[t]; shocks are unrelated, variances add up
    gjr = replace(TRUE, skew=0.0)
    path = gjr_forecast(history[None], [gjr], horizon=10, paths=40_000).path_SNH[:, 0]
    expected = [gjr.variances(history)[-1]]
    for _ in range(9):
        expected.append(0.02 + 0.98 * expected[-1])
    assert path.mean() == pytest.approx(0.05, abs=0.02)
    assert path.var(axis=0) == pytest.approx(expected, rel=0.06)
    assert path.sum(axis=1).var() == pytest.approx(sum(expected), rel=0.06)


def test_one_step_is_closed_form_and_paths_agree_with_it(history: np.ndarray, fitted: Gjr) -> None:
    forecast = gjr_forecast(history[None], [fitted], paths=50_000)
    var, es = forecast.tail(1, LEVEL)
    sd, shape = math.sqrt(fitted.variances(history)[-1]), np.array([fitted.eta, fitted.skew])
    assert var[0] == pytest.approx(fitted.mean + sd * skewed_t_quantile(LEVEL, shape))
    assert es[0] == pytest.approx(fitted.mean + sd * skewed_t_shortfall(LEVEL, shape))
    alone = forecast.portfolios(np.eye(1)).tail(1, LEVEL)
    assert alone.var_NL[0] == pytest.approx(var[0], rel=0.02)
    assert alone.es_NL[0] == pytest.approx(es[0], rel=0.05)


def test_assets_that_fell_together_fall_together(history: np.ndarray) -> None:
    other = draw(1500, seed=1)
    both = np.stack([history, 0.8 * history + 0.6 * other, -history])
    path = gjr_forecast(both, [TRUE, TRUE, TRUE], horizon=2, paths=4000, seed=3).path_SNH
    z = (both - 0.05) / np.sqrt([TRUE.variances(row)[:-1] for row in both])
    expected = spearmanr(z[:2, -1000:].T).statistic
    assert spearmanr(path[:, :2, 0]).statistic == pytest.approx(expected, abs=0.01)
    assert spearmanr(path[:, :2, 1]).statistic == pytest.approx(expected, abs=0.1)
    assert spearmanr(path[:, [0, 2], 0]).statistic < -0.97
    again = gjr_forecast(both, [TRUE, TRUE, TRUE], horizon=2, paths=4000, seed=3).path_SNH
    assert np.array_equal(path, again)


def test_the_walk_is_the_forecast_of_each_day_with_parameters_of_the_last_fit(history: np.ndarray) -> None:
    past = history[None, :640].copy()
    past[0, 610] = NAN
    walk = walk_gjr(past, 600, every=30, level_L=LEVEL)
    assert walk.var_NDL.shape == walk.es_NDL.shape == (1, 40, 3)
    assert (walk.reason_ND == "").all()
    first, second = fit_gjr(past[0, :600]), fit_gjr(past[0, :630])
    for day, gjr in [(600, first), (611, first), (629, first), (630, second), (639, second)]:
        var, es = gjr_forecast(past[:, :day], [gjr], paths=1).tail(1, LEVEL)
        assert walk.var_NDL[0, day - 600] == pytest.approx(var[0], rel=1e-9)
        assert walk.es_NDL[0, day - 600] == pytest.approx(es[0], rel=1e-9)


def test_the_walk_over_residuals_is_filtered_historical_simulation(history: np.ndarray) -> None:
    past = np.stack([history[:620], np.full(620, 4.0)])
    walk = walk_gjr(past, 600, level_L=LEVEL, drawn=250)
    gjr = [fit_gjr(row[:600]) for row in past]
    for day in (600, 619):
        var, es = filtered_historical_simulation(past[:, :day], gjr, window=250, paths=1).tail(1, LEVEL)
        assert walk.var_NDL[:, day - 600] == pytest.approx(var, rel=1e-9)
        assert walk.es_NDL[:, day - 600] == pytest.approx(es, rel=1e-9)
    assert walk.reason_ND[:, 0].tolist() == ["", "constant"]


@pytest.mark.parametrize("drawn", [None, 30])
@pytest.mark.parametrize("begin", [40, 600])
def test_what_comes_later_changes_nothing(history: np.ndarray, begin: int, drawn: int | None) -> None:
    # begin 40: the filter starts from an average of the first steps, and may not take later ones into it
    past = history[None, : begin + 20]
    changed = past.copy()
    changed[:, begin + 5 :] *= -9.0
    one, other = (walk_gjr(x, begin, every=15, level_L=LEVEL, drawn=drawn) for x in (past, changed))
    assert np.isfinite(one.var_NDL).all()
    assert np.array_equal(one.var_NDL[:, :6], other.var_NDL[:, :6])
    assert np.array_equal(one.es_NDL[:, :6], other.es_NDL[:, :6])
    assert not np.array_equal(one.var_NDL[:, 6:], other.var_NDL[:, 6:])


def test_the_unit_does_not_matter(history: np.ndarray) -> None:
    one, other = fit_gjr(history[:400]), fit_gjr(history[:400] * 1e18)
    assert other.reason == one.reason == ""
    assert other.mean == pytest.approx(one.mean * 1e18, rel=1e-3)
    assert other.variances(history[:400] * 1e18)[-1] == pytest.approx(
        one.variances(history[:400])[-1] * 1e36, rel=1e-3
    )


def test_what_cannot_be_fitted_falls_back_or_is_refused_with_a_reason(history: np.ndarray) -> None:
    past = np.stack([history[:300]] * 5)
    past[0, :200] = NAN
    past[1, :290] = NAN
    past[2] = NAN
    past[3] = 4.0
    past[4] *= 1e200
    gjr = [fit_gjr(row) for row in past]
    forecast = gjr_forecast(past, gjr, horizon=2)
    assert forecast.reason_N == ("fit_short", "too_short", "all_missing", "constant", "too_large")
    var, es = forecast.tail(1, LEVEL)
    assert np.isnan(var[:, 0]).tolist() == np.isnan(es[:, 0]).tolist() == [False, True, True, False, True]
    assert np.isnan(forecast.path_SNH[0, :, 1]).tolist() == [False, True, True, False, True]
    assert (var[3] == 4.0).all()
    assert (es[3] == 4.0).all()
    for drawn in (None, 250):
        walk = walk_gjr(past, 295, level_L=LEVEL, drawn=drawn)
        assert walk.reason_ND[:, 0].tolist() == list(forecast.reason_N)
        assert np.isnan(walk.es_NDL[:, 0, 0]).tolist() == [False, True, True, False, True]


def test_the_fallback_is_riskmetrics(history: np.ndarray) -> None:
    past = history[:100]
    gjr, expected = fit_gjr(past), np.average((past[:75] - past.mean()) ** 2, weights=0.94 ** np.arange(75))
    for value in past:
        expected = 0.94 * expected + 0.06 * (value - past.mean()) ** 2
    assert gjr.reason == "fit_short"
    assert gjr.variances(past)[-1] == pytest.approx(expected)
    assert (gjr.eta, gjr.skew) == (5.0, 0.0)


def test_a_fit_that_fails_falls_back(history: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    good = np.array([0.0, 0.1, 0.05, 0.05, 0.85, 6.0, 0.0])
    explosive = np.array([0.0, 0.1, 0.3, 0.3, 0.85, 6.0, 0.0])

    def reason(flag: int, parameters: np.ndarray) -> str:
        result = SimpleNamespace(params=parameters, convergence_flag=flag)
        model = SimpleNamespace(fit=lambda **options: result)
        monkeypatch.setattr("arch.arch_model", lambda *values, **options: model)
        return fit_gjr(history[:300]).reason

    def raises(**options: object) -> None:
        raise np.linalg.LinAlgError("singular")

    assert [reason(0, good), reason(4, good), reason(0, explosive), reason(0, good * NAN)] == [
        "",
        *["fit_failed"] * 3,
    ]
    monkeypatch.setattr("arch.arch_model", lambda *values, **options: SimpleNamespace(fit=raises))
    assert fit_gjr(history[:300]).reason == "fit_failed"


def test_impossible_input_is_refused() -> None:
    with pytest.raises(ValueError, match="history has 1 infinite values"):
        fit_gjr(np.array([1.0, np.inf]))
    with pytest.raises(ValueError, match="wanted 0 < begin < 30 and every of 1 or more, got 30 and 5"):
        walk_gjr(np.ones((1, 30)), 30, every=5)


@pytest.mark.parametrize("shape", [(5.0, -0.2), (3.0, 0.5), (40.0, 0.0)])
def test_the_skewed_ts_partial_moment_is_that_of_arch(shape: tuple[float, float]) -> None:
    level_K, shape_2 = np.array([0.001, 0.01, 0.05, 0.4, 0.6, 0.99]), np.array(shape)
    np.testing.assert_allclose(
        skewed_t_below(level_K, shape_2), level_K * skewed_t_shortfall(level_K, shape_2), rtol=1e-9
    )
    np.testing.assert_allclose(skewed_t_below(np.array([0.0, 1.0]), shape_2), 0.0, atol=1e-12)
