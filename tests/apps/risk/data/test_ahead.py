"""Times after the as-of date: by the pattern of a list, and by each series' own calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.ahead import next_times, times_ahead
from tests.apps.risk.mixed_calendars import COLUMNS, panel_of, series


def micro(*times: str) -> np.ndarray:
    return np.array(times, dtype="datetime64[us]")


def days(times: np.ndarray) -> list[str]:
    return [str(time)[:10] for time in times]


def test_working_days_skip_weekends() -> None:
    calendar = (
        pd.bdate_range("2024-01-01", "2024-02-02").to_numpy().astype("datetime64[us]")
    )  # ends on a Friday
    assert days(next_times(calendar, 3)) == ["2024-02-05", "2024-02-06", "2024-02-07"]
    assert next_times(calendar, 3).dtype == np.dtype("datetime64[us]")


def test_a_holiday_in_the_past_does_not_change_the_pattern() -> None:
    # US markets in January 2024: closed on the 1st and the 15th
    closed = pd.to_datetime(["2024-01-01", "2024-01-15"])
    calendar = (
        pd.bdate_range("2024-01-01", "2024-01-31").difference(closed).to_numpy().astype("datetime64[us]")
    )
    assert days(next_times(calendar, 3)) == ["2024-02-01", "2024-02-02", "2024-02-05"]


def test_other_weekends_are_kept() -> None:
    every = pd.date_range("2024-01-01", "2024-03-07")
    calendar = every[~every.weekday.isin([4, 5])].to_numpy().astype("datetime64[us]")  # Friday, Saturday off
    assert days(next_times(calendar, 3)) == ["2024-03-10", "2024-03-11", "2024-03-12"]


def test_every_day_is_a_day_where_weekends_occur() -> None:
    calendar = pd.date_range("2024-01-01", "2024-02-02").to_numpy().astype("datetime64[us]")
    assert days(next_times(calendar, 2)) == ["2024-02-03", "2024-02-04"]
    assert days(next_times(calendar[-3:-1], 2)) == [
        "2024-02-02",
        "2024-02-05",
    ]  # too few to know of Saturdays


@pytest.mark.parametrize(
    ("freq", "wanted"),
    [
        ("ME", ["2024-07-31", "2024-08-31"]),
        ("MS", ["2024-07-01", "2024-08-01"]),
        ("BME", ["2024-07-31", "2024-08-30"]),
        ("BMS", ["2024-07-01", "2024-08-01"]),
        ("QE", ["2024-09-30", "2024-12-31"]),
        ("YE", ["2024-12-31", "2025-12-31"]),
        ("YS", ["2025-01-01", "2026-01-01"]),
        ("7D", ["2024-07-08", "2024-07-15"]),
    ],
)
def test_months_quarters_years_and_weeks_go_on(freq: str, wanted: list[str]) -> None:
    end = "2024-07-01" if freq == "7D" else "2024-06-30"
    start = {"7D": "2024-01-01"}.get(freq, "2018-01-01")
    calendar = pd.date_range(start, end, freq=freq).to_numpy().astype("datetime64[us]")
    assert days(next_times(calendar, 2)) == wanted


def test_a_day_of_the_month_is_kept() -> None:
    calendar = micro("2024-01-15", "2024-02-15", "2024-03-15")
    assert days(next_times(calendar, 2)) == ["2024-04-15", "2024-05-15"]


def test_other_spacings_go_on_by_the_median_gap() -> None:
    hours = pd.date_range("2024-01-01", periods=5, freq="h").to_numpy().astype("datetime64[us]")
    np.testing.assert_array_equal(next_times(hours, 2), micro("2024-01-01T05:00", "2024-01-01T06:00"))
    odd = micro("2024-01-01", "2024-01-03", "2024-01-05", "2024-01-20")
    assert days(next_times(odd, 2)) == ["2024-01-22", "2024-01-24"]


def test_one_time_is_taken_as_daily_and_another_start_may_be_named() -> None:
    assert days(next_times(micro("2024-01-04"), 3)) == ["2024-01-05", "2024-01-08", "2024-01-09"]
    start = np.datetime64("2024-01-01", "us")
    assert days(next_times(micro("2024-01-04"), 1, start)) == ["2024-01-02"]


@pytest.mark.parametrize(("times", "horizon"), [((), 1), (("2024-01-01",), 0)])
def test_nothing_to_go_on_is_refused(times: tuple[str, ...], horizon: int) -> None:
    with pytest.raises(ValueError, match="wanted a calendar and a horizon of 1 or more"):
        next_times(micro(*times), horizon)


def test_each_series_goes_on_by_its_own_calendar_whatever_else_is_in_the_table() -> None:
    panel = panel_of(
        series("a", "weekdays"), series("b", "weekly"), series("c", "monthly"), series("d", "every_day")
    )
    # as of Friday, 28 June 2024
    assert [days(time_H) for time_H in times_ahead(panel, 2)] == [
        ["2024-07-01", "2024-07-02"],
        ["2024-07-05", "2024-07-12"],
        ["2024-06-30", "2024-07-31"],
        ["2024-06-29", "2024-06-30"],
    ]


def test_closes_within_the_day_keep_their_weekdays_and_their_clock() -> None:
    table = series("a", "weekdays")
    table["time"] = table["time"].str.replace("T00:00:00", "T17:30:00")
    (time_H,) = times_ahead(panel_of(table), 2)
    np.testing.assert_array_equal(time_H, micro("2024-07-01T17:30", "2024-07-02T17:30"))
    (noon_H,) = times_ahead(
        panel_of(table, as_of="2024-06-28T12:00:00"), 1
    )  # that day's close is still to come
    np.testing.assert_array_equal(noon_H, micro("2024-06-28T17:30"))


def test_steps_that_are_over_without_a_value_are_not_forecast() -> None:
    table = series("a", "weekly", ends_before=20)
    assert days(times_ahead(panel_of(table), 1)[0]) == ["2024-07-05"]
    own = series("b", "own", ends_before=200)
    assert times_ahead(panel_of(own), 1)[0, 0] > np.datetime64("2024-06-28")


def test_hours_go_on_evenly_over_a_clock_change_and_are_shown_in_the_zone() -> None:
    columns = COLUMNS.__class__(**{**vars(COLUMNS), "zone": "Europe/Berlin"})
    utc = pd.date_range("2024-10-20", "2024-10-27T00:00", freq="h", tz="UTC")
    table = pd.DataFrame({"who": "a", "time": utc.strftime("%Y-%m-%dT%H:%M:%SZ"), "gain": range(len(utc))})
    (time_H,) = times_ahead(panel_of(table, as_of="2024-10-27T00:00:00", columns=columns), 3)
    np.testing.assert_array_equal(
        time_H, micro("2024-10-27T02:00", "2024-10-27T03:00", "2024-10-27T04:00")
    )  # 02:00 comes twice: the first time was the last value's
