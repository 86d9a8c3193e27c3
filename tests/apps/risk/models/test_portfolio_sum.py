"""Portfolios over slices: the same as of the whole (PathForecast.portfolios), with refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.risk.data.holdings import Holdings
from apps.risk.models.baselines import BASELINES
from apps.risk.models.forecast import PathForecast
from apps.risk.models.portfolio_sum import PortfolioSum
from core.errors import InternalFault
from tests.apps.risk.models.networks import untrained
from tests.apps.risk.models.test_baselines import panel, returns

NAMES = ("a", "b", "c", "d", "e")
HELD = Holdings(("p", "q"), np.array([0, 0, 1]), ("a", "e", "c"), np.array([2.0, -1.0, 1.0]))


def forecast(refused: tuple[int, ...] = ()) -> PathForecast:
    path_SNH = np.random.default_rng(1).normal(size=(50, 5, 2))
    path_SNH[:, list(refused)] = np.nan
    return PathForecast(path_SNH, tuple("too_short" if n in refused else "" for n in range(5)))


def sliced(held: Holdings | None, whole: PathForecast, cut: int) -> PathForecast | None:
    sums = PortfolioSum(held, NAMES)
    for index in (slice(0, cut), slice(cut, 5)):
        if NAMES[index]:
            sums.add(PathForecast(whole.path_SNH[:, index], whole.reason_N[index]), NAMES[index])
    return sums.forecast()


@given(st.integers(0, 5), st.sampled_from([(), (2,), (0, 4)]))
def test_slices_add_up_to_the_whole(cut: int, refused: tuple[int, ...]) -> None:
    whole = forecast(refused)
    wanted = whole.portfolios(HELD.weight_PN(NAMES))
    result = sliced(HELD, whole, cut)
    assert result is not None
    np.testing.assert_allclose(result.path_SNH, wanted.path_SNH, rtol=1e-12, atol=1e-12)
    assert result.reason_N == wanted.reason_N


def test_by_default_all_that_have_a_forecast_count_the_same() -> None:
    whole = forecast((1,))
    result = sliced(None, whole, 3)
    assert result is not None
    wanted_SH = np.nanmean(whole.path_SNH, axis=1)
    np.testing.assert_allclose(result.path_SNH[:, 0], wanted_SH)
    none = sliced(None, forecast((0, 1, 2, 3, 4)), 3)
    assert none is not None
    assert none.reason_N == ("holds_refused",)
    assert PortfolioSum(None, NAMES).forecast() is None


def test_what_is_not_there_at_all_cannot_be_held() -> None:
    sums = PortfolioSum(HELD, NAMES[:4])
    sums.add(PathForecast(forecast().path_SNH[:, :4], ("",) * 4), NAMES[:4])
    result = sums.forecast()
    assert result is not None
    assert result.reason_N == ("holds_refused", "")


def test_slices_with_other_paths_are_a_defect() -> None:
    sums = PortfolioSum(None, NAMES)
    sums.add(forecast(), NAMES)
    with pytest.raises(InternalFault, match="different numbers of paths"):
        sums.add(PathForecast(forecast().path_SNH[:40], ("",) * 5), NAMES)


@pytest.mark.parametrize("name", [*BASELINES, "riskformer"])
@pytest.mark.parametrize("weight", [1.0, -2.0])
def test_a_portfolio_of_one_asset_has_the_assets_tails(name: str, weight: float) -> None:
    """The ES of a one-asset portfolio was that of some paths, -11.33, and the asset's in closed form, -11.99."""
    model = BASELINES[name]() if name in BASELINES else untrained()
    result = model.forecast(panel(returns(1, 320)), "target", 3, 1000, 0)
    sums = PortfolioSum(Holdings(("p",), np.array([0]), ("a",), np.array([weight])), ("a",))
    sums.add(result, ("a",))
    held = sums.forecast()
    assert held is not None
    mine = PathForecast(weight * result.path_SNH, result.reason_N)
    for steps in (1, 3):
        for mine_NL, held_NL in zip(mine.tail(steps), held.tail(steps), strict=True):
            np.testing.assert_allclose(held_NL, mine_NL, rtol=1e-12)


def test_a_portfolio_stands_on_the_least_that_it_holds() -> None:
    sums, result = PortfolioSum(HELD, NAMES), forecast()
    for index, known_N in ((slice(0, 3), np.array([70, 5, 300])), (slice(3, 5), np.array([1, 60]))):
        sums.add(PathForecast(result.path_SNH[:, index], result.reason_N[index]), NAMES[index], known_N)
    assert sums.least_P.tolist() == [60, 300], "a and e; c"
