"""Days drawn for many series together: each value equally often, the same days for those that have them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.data.panel import by_calendar
from apps.risk.models.baselines import BASELINES
from apps.risk.models.forecast import quantiles
from apps.risk.models.joint_days import JointDays
from tests.apps.risk.mixed_calendars import CALENDARS, panel_of, series

MIXTURE = st.lists(
    st.tuples(st.sampled_from(CALENDARS), st.integers(30, 420), st.integers(0, 40), st.integers(0, 9)),
    min_size=2,
    max_size=5,
)


def draws(slot_NW: np.ndarray, known_NW: np.ndarray | None = None, paths: int = 100) -> np.ndarray:
    """Steps drawn, (N, S, H) of two steps ahead."""
    known_NW = np.ones(slot_NW.shape, dtype=bool) if known_NW is None else known_NW
    days = JointDays(np.where(known_NW, 1.0 * slot_NW, np.nan), slot_NW, 2, paths, seed=3)
    return np.stack([np.take_along_axis(slot_NW, days.at(h), axis=1) for h in range(2)], axis=2)


def test_each_value_is_drawn_equally_often_whatever_gaps_there_are() -> None:
    slot_NW = np.sort(np.random.default_rng(0).choice(90, (4, 50)), axis=1)
    slot_NW += np.arange(50)  # distinct, rising, with gaps
    drawn_NSH = draws(slot_NW)
    for n in range(4):
        for h in range(2):
            assert np.unique(drawn_NSH[n, :, h], return_counts=True)[1].tolist() == [2] * 50


def test_a_short_series_draws_its_values_evenly_and_at_random_over_steps() -> None:
    known_NW = np.arange(100)[None] >= 90
    drawn_1SH = draws(np.arange(100)[None], known_NW, paths=2000)
    assert set(np.unique(drawn_1SH)) == set(range(90, 100))
    counts = np.unique(drawn_1SH[0, :, 0], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert abs(np.corrcoef(drawn_1SH[0].T)[0, 1]) < 0.08


def test_series_share_the_days_that_both_have() -> None:
    late = np.arange(40, 90)  # ends ten days later
    holiday = np.delete(np.arange(28, 80), [7, 30])  # two days closed
    drawn_3SH = draws(np.stack([np.arange(30, 80), late, holiday]))
    both = (drawn_3SH[0] >= 40) & np.isin(drawn_3SH[0], late)
    assert (drawn_3SH[0][both] == drawn_3SH[1][both]).all()
    open_both = np.isin(drawn_3SH[0], holiday)
    assert (drawn_3SH[0][open_both] == drawn_3SH[2][open_both]).all()


def test_a_series_without_values_draws_what_is_not_there() -> None:
    days = JointDays(np.full((1, 5), np.nan), np.zeros((1, 5), dtype=np.int64), 1, 5, seed=0)
    assert len(days) == 5
    assert set(days.at(0)[0]) == {-1}


def test_quantiles_of_the_draws_are_those_of_the_values_however_few_there_are() -> None:
    value_NW = np.full((3, 250), np.nan)
    for n, count in enumerate((21, 60, 249)):
        value_NW[n, -count:] = np.random.default_rng(n).normal(size=count)
    slot_NW = np.broadcast_to(np.arange(250), (3, 250))
    days = JointDays(value_NW, slot_NW, 1, 10_000, seed=0)
    drawn_NS = np.take_along_axis(value_NW, days.at(0), axis=1)
    levels = np.array([0.01, 0.05, 0.5, 0.9])
    for own_W, drawn_S in zip(value_NW, drawn_NS, strict=True):
        own_K1 = own_W[~np.isnan(own_W)][:, None]
        np.testing.assert_array_equal(quantiles(drawn_S[:, None], levels), quantiles(own_K1, levels))


def test_each_stratum_is_taken_once_and_by_a_path_of_its_value() -> None:
    value_1W = np.random.default_rng(0).normal(size=(1, 50))
    value_1W[0, :9] = np.nan
    days = JointDays(value_1W, np.arange(50)[None], 2, 100, seed=0)
    for h in range(2):
        (stratum_S,), (column_S,) = days.strata_at(h), days.at(h)
        assert sorted(stratum_S) == list(range(100))
        assert (np.diff(value_1W[0, column_S[np.argsort(stratum_S)]]) >= 0.0).all()


@settings(max_examples=30, deadline=None)
@given(
    mixture=MIXTURE,
    name=st.sampled_from(["historical_simulation", "filtered_historical_simulation", "seasonal_naive"]),
)
def test_a_series_is_the_same_alone_and_in_company(
    mixture: list[tuple[str, int, int, int]], name: str
) -> None:
    check_company(mixture, name)


@settings(max_examples=4, deadline=None)
@given(mixture=MIXTURE)
def test_a_fitted_series_is_the_same_alone_and_in_company(mixture: list[tuple[str, int, int, int]]) -> None:
    check_company(mixture[:3], "gjr_garch")


def check_company(mixture: list[tuple[str, int, int, int]], name: str) -> None:
    tables = [
        series(f"s{n}", calendar, min(count, 90) if calendar == "quarterly" else count, before, seed)
        for n, (calendar, count, before, seed) in enumerate(mixture)
    ]
    model = BASELINES[name]()
    together = panel_of(*tables)
    result = {}
    for group in by_calendar(together):
        forecast = model.forecast(group, "gain", 3, 300, seed=1)
        result |= dict(zip(group.entities, forecast.path_SNH.transpose(1, 0, 2), strict=True))
    for table in tables:
        (alone,) = by_calendar(panel_of(table))
        path_SH = model.forecast(alone, "gain", 3, 300, seed=1).path_SNH[:, 0]
        np.testing.assert_allclose(result[alone.entities[0]], path_SH, rtol=1e-12, atol=1e-12)
