"""Calendars as rules: steps of times, and times of steps."""

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
    ordinals,
)


def micro(*times: str) -> np.ndarray:
    return np.array(times, dtype="datetime64[us]")


def test_places_count_the_times_that_any_series_has() -> None:
    time_R = micro("2024-01-05", "2024-01-08", "2024-01-04", "2024-01-08")
    step_R, calendar_T = ordinals(time_R)
    assert step_R.tolist() == [1, 2, 0, 2]
    assert step_R.dtype == np.int64
    np.testing.assert_array_equal(calendar_T[step_R], time_R)


EXCHANGE = Sessions(WEEKDAYS, DAY_US // 24, tuple(hour * DAY_US // 24 for hour in range(9, 17)))
FRIDAYS = Even(7 * DAY_US, DAY_US)  # 1970-01-02 was a Friday


@pytest.mark.parametrize(
    ("calendar", "frequency", "season"),
    [
        (WEEKDAYS, "B", 5),
        (EVERY_DAY, "D", 7),
        (Months(1, 0, Months.LAST), "ME", 12),
        (Months(1, 0, 1), "MS", 12),
        (Months(1, 0, Months.LAST_OPEN), "BME", 12),
        (Months(1, 0, Months.FIRST_OPEN), "BMS", 12),
        (Months(3, 2, Months.LAST), "QE", 4),
        (Months(12, 11, Months.LAST), "YE", 1),
        (FRIDAYS, "W-FRI", 52),
        (Even(DAY_US // 24, 0), "h", 24),
        (Even(DAY_US // 288, 0), "5min", 288),
        (Even(7 * DAY_US // 24, 0), "7h", 1),
    ],
)
def test_steps_and_times_are_each_others_inverse(calendar: Calendar, frequency: str, season: int) -> None:
    time_T = pd.date_range("1970-01-01", periods=200, freq=frequency).to_numpy().astype("datetime64[us]")
    step_T = calendar.steps(time_T)
    assert (np.diff(step_T) == 1).all()
    np.testing.assert_array_equal(calendar.times(step_T), time_T)
    assert calendar.season == season


def test_a_time_between_two_steps_counts_for_the_earlier_one_or_the_nearest() -> None:
    friday, saturday = WEEKDAYS.steps(micro("2024-06-28", "2024-06-29"))
    assert friday == saturday
    thursday, next_friday = FRIDAYS.steps(micro("2024-06-27", "2024-07-05"))
    assert next_friday == thursday + 1  # the Thursday before a closed Friday is that Friday's


def test_hours_of_an_exchange_skip_nights_and_weekends() -> None:
    steps = EXCHANGE.steps(
        micro("2024-06-28T16:00", "2024-06-29T12:00", "2024-07-01T08:00", "2024-07-01T09:00")
    )
    assert (steps - steps[0]).tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(
        EXCHANGE.times(steps[[0, 3]]), micro("2024-06-28T16:00", "2024-07-01T09:00")
    )
    assert EXCHANGE.season == 8


def test_calendars_have_names_that_say_what_they_are() -> None:
    arabic = Days((True, True, True, True, False, False, True))
    names = [
        WEEKDAYS,
        EVERY_DAY,
        FRIDAYS,
        Even(DAY_US // 288, 0),
        Even(3 * DAY_US, 0),
        Months(3, 0, 1),
        EXCHANGE,
        OWN_TIMES,
    ]
    assert [str(one) for one in names] == [
        "weekdays",
        "every day",
        "weekly on Friday",
        "every 5 minutes",
        "every 3 days",
        "quarterly",
        "every hour from 09:00 to 16:00, weekdays",
        "own times",
    ]
    assert str(arabic) == "Monday, Tuesday, Wednesday, Thursday, Sunday"
