"""Where rows stand in the calendar of their series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.alignment import Alignment, align, listed
from apps.risk.data.calendar import OWN_TIMES, WEEKDAYS
from apps.risk.data.panel import by_calendar
from tests.apps.risk.mixed_calendars import panel_of, series


def aligned(*each: pd.DatetimeIndex, past_N: list[int] | None = None) -> Alignment:
    time_R = np.concatenate([one.to_numpy().astype("datetime64[us]") for one in each])
    length_N = [len(one) for one in each]
    return align(time_R, time_R, np.append(0, np.cumsum(length_N)), np.array(past_N or length_N))


def test_a_row_on_a_closed_day_takes_the_nearest_gap_before_it_and_none_is_lost() -> None:
    days = pd.bdate_range("2024-01-01", "2024-03-29").delete(30)  # Monday, 12 February is closed
    saturday = days.insert(39, pd.Timestamp("2024-02-24"))  # between Friday and Monday
    result = aligned(saturday)
    assert result.axes[0].calendar == WEEKDAYS
    raw_R = WEEKDAYS.steps(saturday.to_numpy().astype("datetime64[us]"))
    assert (np.diff(result.slot_R) > 0).all()
    np.testing.assert_array_equal(result.slot_R[39:], raw_R[39:])  # the Saturday has Friday's step
    np.testing.assert_array_equal(result.slot_R[30:39], raw_R[30:39] - 1)  # up to the closed Monday
    np.testing.assert_array_equal(result.slot_R[:30], raw_R[:30])


def test_rows_ahead_move_on_and_never_touch_the_past() -> None:
    days = pd.bdate_range("2024-01-01", periods=40)
    saturday = days.insert(35, pd.Timestamp("2024-02-17"))
    past = aligned(days[:30], past_N=[30])
    result = aligned(saturday, past_N=[30])
    np.testing.assert_array_equal(result.slot_R[:30], past.slot_R)
    assert (np.diff(result.slot_R) > 0).all()


def test_series_of_one_calendar_agree_on_its_steps_whenever_they_begin() -> None:
    days = pd.bdate_range("2020-01-01", periods=300)
    result = aligned(days, days[100:], days[:50])
    assert result.axis_N.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(result.slot_R[300:500], result.slot_R[100:300])
    np.testing.assert_array_equal(result.step_R[300:500], np.arange(100, 300))


def test_days_on_which_no_series_has_a_row_are_no_steps_of_the_axis() -> None:
    days = pd.bdate_range("2024-01-01", periods=30).delete([7, 20])
    result = aligned(days)
    assert (len(result.axes[0].slot_T), result.axes[0].known) == (28, 28)
    hours = pd.date_range("2024-01-01", periods=200, freq="h").delete([7, 20])
    assert len(aligned(hours).axes[0].slot_T) == 200  # a missing hour is a gap


def test_mostly_empty_or_crowded_rules_give_times_of_their_own() -> None:
    clumps = pd.DatetimeIndex(
        [day for year in range(2000, 2020) for day in pd.bdate_range(f"{year}-03-01", periods=10)]
    )
    assert aligned(clumps).axes[0].calendar == OWN_TIMES
    assert aligned(clumps).slot_R.tolist() == list(range(-200, 0))


def test_a_table_of_its_own_times_lists_them() -> None:
    time_R = np.array(["2024-01-05", "2024-01-08", "2024-01-05"], dtype="datetime64[us]")
    result = listed(time_R, time_R, np.array([True, False, True]), 2)
    assert result.step_R.tolist() == [0, 1, 0]
    assert result.axes[0].known == 1
    np.testing.assert_array_equal(result.axes[0].times_T, time_R[:2])


def test_each_part_of_a_panel_has_one_calendar() -> None:
    panel = panel_of(series("a", "weekdays"), series("b", "weekly"), series("c", "weekdays"))
    assert [(str(one.axis.calendar), one.entities) for one in by_calendar(panel)] == [
        ("weekdays", ("a", "c")),
        ("weekly on Friday", ("b",)),
    ]
