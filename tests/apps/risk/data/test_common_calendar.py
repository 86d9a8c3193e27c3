"""The calendar on which series of several calendars are added up, and their values on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.calendar import (
    DAY_US,
    EVERY_DAY,
    OWN_TIMES,
    WEEKDAYS,
    Calendar,
    Days,
    Even,
    Months,
    Sessions,
)
from apps.risk.data.common_calendar import common_of, share_times, summed_to
from apps.risk.data.history import last_values
from tests.apps.risk.mixed_calendars import panel_of, series

FRIDAYS, MONDAYS = Even(7 * DAY_US, DAY_US), Even(7 * DAY_US, 4 * DAY_US)
HOURS = Even(DAY_US // 24, 0)
MONTHS, QUARTERS = Months(1, 0, Months.LAST), Months(3, 2, Months.LAST)
ARABIC = Days((True, True, True, True, False, False, True))
EXCHANGE = Sessions(WEEKDAYS, DAY_US // 24, (0,))


@pytest.mark.parametrize(
    ("calendars", "wanted"),
    [
        ((WEEKDAYS, WEEKDAYS), "weekdays"),
        ((WEEKDAYS, EVERY_DAY), "weekdays"),
        ((WEEKDAYS, ARABIC), "Monday, Tuesday, Wednesday, Thursday"),
        ((EVERY_DAY, FRIDAYS), "weekly on Friday"),
        ((FRIDAYS, Even(14 * DAY_US, DAY_US)), "every 14 days"),
        ((WEEKDAYS, MONTHS, QUARTERS), "quarterly"),
        ((HOURS, WEEKDAYS), "weekdays"),
        ((HOURS, EXCHANGE), "weekdays"),
        ((OWN_TIMES, OWN_TIMES), "own times"),
        ((FRIDAYS, MONDAYS), None),
        ((FRIDAYS, MONTHS), None),
        ((MONTHS, Months(3, 2, 1)), None),
        ((OWN_TIMES, WEEKDAYS), None),
    ],
)
def test_the_coarsest_of_some_calendars_where_its_steps_are_whole_ones_of_all(
    calendars: tuple[Calendar, ...], wanted: str | None
) -> None:
    common = common_of(calendars)
    assert (None if common is None else str(common)) == wanted


def test_days_are_summed_to_the_weeks_in_which_they_lie() -> None:
    daily, weekly = series("d", "weekdays", 100, seed=1), series("w", "weekly", 60, seed=2)
    panel = summed_to(panel_of(daily, weekly), FRIDAYS)
    assert (str(panel.axis.calendar), panel.entities) == ("weekly on Friday", ("d", "w"))
    wanted = daily.set_index(pd.to_datetime(daily["time"]))["gain"].resample("W-FRI").sum()
    result_NK = last_values(panel, "gain", 15).value_NK
    np.testing.assert_allclose(result_NK[0], wanted.iloc[-15:], rtol=1e-12)
    np.testing.assert_array_equal(result_NK[1], weekly["gain"].iloc[-15:])


def test_weekends_are_summed_to_the_monday_after_them() -> None:
    daily, every = series("d", "weekdays", 50, seed=1), series("e", "every_day", 60, seed=2)
    panel = summed_to(panel_of(daily, every), WEEKDAYS)
    own = every.set_index(every["time"].str[:10])["gain"]
    monday = sum(own.get(day, 0.0) for day in ("2024-06-22", "2024-06-23", "2024-06-24"))
    np.testing.assert_allclose(last_values(panel, "gain", 5).value_NK[1, 0], monday, rtol=1e-12)


def test_a_month_that_is_not_over_and_a_first_one_are_left_out() -> None:
    daily, monthly = series("d", "weekdays", 130, seed=1), series("m", "monthly", 40, seed=2)
    panel = summed_to(panel_of(daily, monthly), MONTHS)  # as of 28 June; the days begin in December
    own = daily.set_index(pd.to_datetime(daily["time"]))["gain"]
    wanted = own.groupby([own.index.year, own.index.month]).sum().iloc[1:-1]
    np.testing.assert_allclose(panel.value_RF[: panel.offset_N1[1], 0], wanted, rtol=1e-12)
    assert panel.past_N.tolist() == [len(wanted), 40]


def test_hours_after_the_close_belong_to_the_next_day() -> None:
    closes = series("c", "weekdays", 30, seed=1)
    closes["time"] = closes["time"].str.replace("T00:00", "T17:00")
    hours = series("h", "hourly", 400, seed=2)
    panel = summed_to(panel_of(closes, hours), WEEKDAYS)
    own = hours.set_index(pd.to_datetime(hours["time"]))["gain"]
    between = own["2024-06-26 17:00:01":"2024-06-27 17:00:00"]  # type: ignore[misc]
    assert last_values(panel, "gain", 2).value_NK[1, 0] == pytest.approx(between.sum())


def test_times_without_a_rule_are_shared_where_the_last_ones_are_the_same() -> None:
    own = series("a", "own", 60)
    panel = panel_of(own, own.assign(who="b"), series("c", "own", 60, seed=5))
    assert share_times(panel, np.array([True, True, False]))
    assert not share_times(panel, np.array([True, True, True]))
