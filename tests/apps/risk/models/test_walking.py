"""Walking forward: each day from the days before it, sums of steps, portfolios day by day."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from apps.risk.data.history import history_NT, known_until
from apps.risk.data.panel import Panel, part
from apps.risk.models.baselines import FilteredHistoricalSimulation, GjrGarch, HistoricalSimulation
from apps.risk.models.forecast import PathForecast
from apps.risk.models.walking import Asked, first_day, held, outcomes, summed, walk_days, walk_paths
from core.errors import InputError
from tests.apps.risk.models import covariates
from tests.apps.risk.models.test_baselines import panel, returns

NAN = np.nan


@dataclass(frozen=True)
class LastValue:
    """Forecasts the last value seen, with an error of one either way; counts how often it was fitted."""

    fits: list[int] = field(default_factory=list)
    name: str = "last_value"

    def fitted(self, panel: Panel, label: str) -> LastValue:
        self.fits.append(history_NT(panel, label, 10_000).shape[1])
        return self

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        assert (horizon, paths) == (3, 1000)
        assert seed >= 0
        last_N = history_NT(panel, label, 1)[:, 0]
        path_SNH = last_N[:, None] + np.array([-1.0, 1.0])[:, None, None] * np.ones((1, 1, horizon))
        return PathForecast(path_SNH, ("",) * len(last_N))


def test_sums_run_over_gaps_and_end_with_a_value() -> None:
    value_ND = np.array([[1.0, NAN, 3.0, 4.0, NAN, 6.0]])
    np.testing.assert_array_equal(summed(value_ND, 1), value_ND)
    np.testing.assert_array_equal(summed(value_ND, 2), [[NAN, 3.0, 7.0, NAN, 6.0, NAN]])
    np.testing.assert_array_equal(summed(value_ND, 7), np.full((1, 6), NAN))


def test_a_portfolio_has_an_outcome_where_all_that_it_holds_have_one() -> None:
    outcome_ND = np.array([[1.0, NAN, 3.0], [10.0, 20.0, 30.0], [NAN, NAN, NAN]])
    weight_PN = np.array([[0.5, 0.5, 0.0], [0.0, -1.0, 0.0]])
    np.testing.assert_array_equal(held(outcome_ND, weight_PN), [[5.5, NAN, 16.5], [-10.0, -20.0, -30.0]])


def test_each_day_is_forecast_from_the_days_before_it() -> None:
    value_NT = np.arange(120.0).reshape(2, 60)
    whole, model = panel(value_NT), LastValue()
    result = walk_paths(model, whole, "target", 25, (1, 3), np.array([[0.5, 0.5]]), every=10)
    assert list(result) == [Asked(scope, steps) for scope in ("entity", "portfolio") for steps in (1, 3)]
    np.testing.assert_array_equal(result[Asked("entity", 1)].var_NDL[:, :, 0], value_NT[:, 34:59] - 1.0)
    np.testing.assert_array_equal(
        result[Asked("entity", 3)].var_NDL[:, :, 2], 3.0 * (value_NT[:, 34:59] - 1.0)
    )
    np.testing.assert_array_equal(
        result[Asked("portfolio", 1)].es_NDL[0, :, 1], value_NT[:, 34:59].mean(axis=0) - 1.0
    )
    assert model.fits == [35, 45, 55]
    np.testing.assert_array_equal(outcomes(whole, "target", 25), value_NT[:, 35:])
    last_N3 = outcomes(whole, "target", 25, 3)[:, -3:]
    np.testing.assert_array_equal(
        last_N3, [[57.0 + 58.0 + 59.0, NAN, NAN], [117.0 + 118.0 + 119.0, NAN, NAN]]
    )


@pytest.mark.parametrize("model", [HistoricalSimulation(), FilteredHistoricalSimulation()])
def test_a_walk_at_once_is_the_walk_by_paths(
    model: HistoricalSimulation | FilteredHistoricalSimulation,
) -> None:
    whole = panel(returns(3, 320))
    at_once = walk_days(model, whole, "target", 20)
    nothing = np.zeros((0, 3))
    by_paths = walk_paths(model, whole, "target", 20, (1,), nothing, paths=20_000)
    assert list(by_paths) == [Asked("entity", 1)]
    np.testing.assert_allclose(at_once.var_NDL, by_paths[Asked("entity", 1)].var_NDL, rtol=1e-12)
    np.testing.assert_allclose(at_once.es_NDL, by_paths[Asked("entity", 1)].es_NDL, rtol=3e-3)


def test_a_garch_is_fitted_as_seldom_in_both_ways() -> None:
    whole = panel(returns(1, 320))
    at_once = walk_days(GjrGarch(every=10), whole, "target", 20)
    by_paths = walk_paths(GjrGarch(), whole, "target", 20, (1,), np.zeros((0, 1)), every=10, paths=100)
    np.testing.assert_allclose(at_once.var_NDL, by_paths[Asked("entity", 1)].var_NDL, rtol=1e-9)


def test_what_comes_later_changes_no_day() -> None:
    value_NT = returns(2, 320)
    other_NT = value_NT.copy()
    other_NT[:, 310:] = 9.0
    weight_PN = np.full((1, 2), 0.5)
    first, second = (
        walk_paths(FilteredHistoricalSimulation(), panel(value), "target", 20, (1, 3), weight_PN, paths=100)
        for value in (value_NT, other_NT)
    )
    assert len(first) == 4
    for asked, walk in first.items():
        np.testing.assert_array_equal(walk.var_NDL[:, :11], second[asked].var_NDL[:, :11])
        assert not np.array_equal(walk.var_NDL[:, 11:], second[asked].var_NDL[:, 11:])


def test_too_few_times_before_a_walk_are_refused() -> None:
    whole = panel(returns(1, 60))
    assert first_day(whole, 40) == 20
    assert first_day(known_until(whole, 50), 30) == 20
    with pytest.raises(
        InputError, match=r"has 60 steps \(weekdays\), and a walk over 41 needs 61: set backtest\.days to 40"
    ) as caught:
        first_day(whole, 41)
    assert caught.value.code == "backtest_short"


def test_without_portfolios_there_are_none() -> None:
    result = walk_paths(LastValue(), panel(returns(2, 60)), "target", 20, (1, 3), np.zeros((0, 2)))
    assert list(result) == [Asked("entity", 1), Asked("entity", 3)]


def test_a_model_of_many_columns_walks_over_the_panel_itself() -> None:
    whole = part(covariates.whole(), 0, 4)  # so few that no date is left out where residuals are taken
    model = covariates.untrained(covariates.whole())
    result = walk_days(model, whole, "target", 5)
    np.testing.assert_array_equal(result.var_NDL, model.walk_panel(whole, "target", 5).var_NDL)
    nothing = np.zeros((0, len(whole.entities)))
    slow = walk_paths(model, whole, "target", 5, (1,), nothing)[Asked("entity", 1)]
    np.testing.assert_allclose(result.var_NDL, slow.var_NDL, rtol=1e-3, atol=1e-3)
