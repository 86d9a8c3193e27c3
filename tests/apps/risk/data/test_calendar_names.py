"""Business calendars by name: the holidays that their owners publish."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.config import CALENDARS, DataConfig
from apps.risk.data.ahead import times_ahead
from apps.risk.data.calendar_names import named_calendar
from core.errors import ConfigError
from tests.apps.risk.mixed_calendars import panel_of, series


def closed(name: str, year: int) -> list[str]:
    """The weekdays of a year that a calendar has closed, month-day."""
    day_D = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]")
    weekday_D = day_D[np.is_busday(day_D)]
    calendar = named_calendar(name)
    assert calendar is not None
    return [str(day)[5:] for day in weekday_D[~calendar.is_open(weekday_D.astype("datetime64[us]"))]]


def test_the_exchange_in_new_york_closes_as_published() -> None:
    # https://www.nyse.com/markets/hours-calendars
    assert closed("nyse", 2024) == [
        *("01-01", "01-15", "02-19", "03-29", "05-27", "06-19", "07-04", "09-02", "11-28", "12-25"),
    ]
    assert "12-31" not in closed("nyse", 2021)  # 1 January 2022 is a Saturday, which moves nothing
    assert closed("nyse", 2022)[0] == "01-17"


def test_the_euro_is_settled_as_published() -> None:
    assert closed("target", 2024) == ["01-01", "03-29", "04-01", "05-01", "12-25", "12-26"]


def test_the_federal_government_has_its_days() -> None:
    assert {"10-14", "11-11"} <= set(closed("us_federal", 2024))


def test_days_without_holidays_have_a_name_too() -> None:
    assert closed("weekdays", 2024) == closed("every_day", 2024) == []
    assert named_calendar(None) is None
    assert all(named_calendar(name) is not None for name in CALENDARS)


def test_an_unknown_name_is_refused_with_the_names() -> None:
    with pytest.raises(ConfigError, match="lse is not one of weekdays, every_day, us_federal, nyse, target"):
        DataConfig(calendar="lse")


def test_holidays_ahead_are_no_forecast_dates() -> None:
    panel = panel_of(series("a", "weekdays"), named=named_calendar("nyse"))
    days = [str(time)[:10] for time in times_ahead(panel, 4)[0]]
    assert days == ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05"]
    weekly = panel_of(series("a", "every_day"), named=named_calendar("nyse"))
    assert str(weekly.axis.calendar) == "every day"  # its weekends have values
