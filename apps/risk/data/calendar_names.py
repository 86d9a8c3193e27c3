"""Business calendars by name: days that are open, holidays to come included.

Sources: weekdays and holidays of the United States' federal government by pandas (5 U.S.C. 6103); those of the New
York Stock Exchange by its Rule 7.2; those of TARGET, the settlement system of the euro, by the European Central Bank
(https://www.ecb.europa.eu/paym/target/t2/profuse/calendar). Days on which an exchange closed once (a storm, a
mourning) are in none of them: they are gaps.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from pandas.tseries.holiday import (
    AbstractHolidayCalendar,
    EasterMonday,
    GoodFriday,
    Holiday,
    USFederalHolidayCalendar,
    USLaborDay,
    USMartinLutherKingJr,
    USMemorialDay,
    USPresidentsDay,
    USThanksgivingDay,
    nearest_workday,
    sunday_to_monday,
)

from apps.risk.data.calendar import EVERY_DAY, WEEKDAYS, Days

_FIRST, _LAST = "1950-01-01", "2200-12-31"


class _Nyse(AbstractHolidayCalendar):
    rules = [  # noqa: RUF012  # pandas reads it from the class
        Holiday("New Year", month=1, day=1, observance=sunday_to_monday),
        USMartinLutherKingJr,
        USPresidentsDay,
        GoodFriday,
        USMemorialDay,
        Holiday("Juneteenth", month=6, day=19, start_date="2022-01-01", observance=nearest_workday),
        Holiday("Independence Day", month=7, day=4, observance=nearest_workday),
        USLaborDay,
        USThanksgivingDay,
        Holiday("Christmas", month=12, day=25, observance=nearest_workday),
    ]


class _Target(AbstractHolidayCalendar):
    rules = [  # noqa: RUF012
        Holiday("New Year", month=1, day=1),
        GoodFriday,
        EasterMonday,
        Holiday("Labour Day", month=5, day=1),
        Holiday("Christmas", month=12, day=25),
        Holiday("Boxing Day", month=12, day=26),
    ]


_RULES = {"us_federal": USFederalHolidayCalendar, "nyse": _Nyse, "target": _Target}
_PLAIN = {"weekdays": WEEKDAYS, "every_day": EVERY_DAY}


@functools.cache
def named_calendar(name: str | None) -> Days | None:
    """Return the calendar of one of config.CALENDARS, None of none."""
    if name is None or name in _PLAIN:
        return _PLAIN.get(name or "")
    holidays = pd.DatetimeIndex(_RULES[name]().holidays(_FIRST, _LAST))
    days = holidays[holidays.weekday < 5].to_numpy().astype("datetime64[D]")
    return Days(WEEKDAYS.open_7, tuple(np.unique(days)), name)
