"""Which calendar a series has, from its own times alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.calendar import EVERY_DAY, OWN_TIMES, WEEKDAYS, Days
from apps.risk.data.calendar_rules import Pasts, calendars_of, clock_of
from tests.apps.risk.mixed_calendars import CALENDARS, END, times

NAMES = {
    "weekdays": "weekdays",
    "every_day": "every day",
    "weekly": "weekly on Friday",
    "monthly": "monthly",
    "month_begin": "monthly",
    "quarterly": "quarterly",
    "hourly": "every hour",
    "five_minutes": "every 5 minutes",
    "exchange": "every hour from 10:00 to 16:00, weekdays",
    "own": "own times",
}


def pasts(*each: pd.DatetimeIndex) -> Pasts:
    wall_P = np.concatenate([one.to_numpy().astype("datetime64[us]").astype(np.int64) for one in each])
    return Pasts(wall_P, wall_P, np.array([len(one) for one in each]))


def names(*each: pd.DatetimeIndex) -> list[str]:
    return [str(one) for one in calendars_of(pasts(*each))]


def test_each_kind_is_recognised_in_the_company_of_all_others() -> None:
    result = names(
        *(times(calendar, 300 if calendar != "quarterly" else 80, END, seed=1) for calendar in CALENDARS)
    )
    assert result == [NAMES[calendar] for calendar in CALENDARS]


@pytest.mark.parametrize(
    ("frequency", "name"),
    [
        ("28D", "every 28 days"),
        ("2W-MON", "every 14 days"),
        ("2D", "every 2 days"),
        ("2MS", "every 2 months"),
        ("YE", "yearly"),
        ("BME", "monthly"),
        ("30min", "every 30 minutes"),
        ("7h", "every 7 hours"),
        ("s", "every second"),
    ],
)
def test_other_equal_gaps(frequency: str, name: str) -> None:
    assert names(pd.date_range("2010-01-04", periods=40, freq=frequency)) == [name]


def test_days_of_other_weeks() -> None:
    every = pd.date_range("2023-01-01", "2023-12-31")
    sunday_to_thursday = every[~every.weekday.isin([4, 5])]
    mondays_and_thursdays = every[every.weekday.isin([0, 3])]
    assert names(sunday_to_thursday, mondays_and_thursdays) == [
        "Monday, Tuesday, Wednesday, Thursday, Sunday",
        "Monday, Thursday",
    ]


def test_a_weekly_series_that_moves_to_thursday_on_holidays_stays_weekly() -> None:
    fridays = pd.date_range("2023-01-06", periods=104, freq="W-FRI").to_numpy().copy()
    fridays[[12, 50, 64]] -= np.timedelta64(1, "D")
    assert names(pd.DatetimeIndex(fridays)) == ["weekly on Friday"]


def test_few_rows_are_daily_unless_weeks_lie_between_them() -> None:
    assert calendars_of(pasts(pd.DatetimeIndex(["2024-01-04"]))) == [WEEKDAYS]
    assert calendars_of(pasts(pd.DatetimeIndex(["2024-01-02", "2024-01-05"]))) == [WEEKDAYS]
    assert calendars_of(pasts(pd.DatetimeIndex(["2024-01-05", "2024-01-06"]))) == [EVERY_DAY]
    assert names(pd.DatetimeIndex(["2024-01-15", "2024-02-15", "2024-03-15"])) == ["monthly"]


def test_a_daily_series_with_many_gaps_stays_daily() -> None:
    days = pd.bdate_range("2022-01-03", periods=600)
    some = days[np.random.default_rng(0).random(600) < 0.4]
    assert names(some, days.delete(np.arange(0, 600, 3))) == ["weekdays", "weekdays"]


def test_seconds_at_random_are_times_of_their_own() -> None:
    draw = np.random.default_rng(0).integers(1, 90, 500)
    ticks = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(draw), unit="s")
    assert calendars_of(pasts(pd.DatetimeIndex(ticks))) == [OWN_TIMES]


def test_a_named_calendar_takes_daily_series_that_keep_to_it() -> None:
    named = Days(WEEKDAYS.open_7, (np.datetime64("2024-07-04"),), "mine")
    daily, weekly = times("weekdays", 100, END, 0), times("weekly", 100, END, 0)
    result = calendars_of(pasts(daily, weekly, times("every_day", 100, END, 0)), named)
    assert [str(one) for one in result] == ["mine", "weekly on Friday", "every day"]


def test_the_clock_is_the_most_frequent_time_of_the_day() -> None:
    closes = pd.bdate_range("2024-01-01", periods=20) + pd.Timedelta(hours=17, minutes=30)
    early = closes.to_numpy().copy()
    early[-3:] -= np.timedelta64(4, "h")  # half days
    assert (clock_of(pasts(pd.DatetimeIndex(early), closes.normalize())) / 3.6e9).tolist() == [17.5, 0.0]
