"""Tables of series of many calendars, for tests that a series is the same alone and in company."""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.asof import view
from apps.risk.data.calendar import Days
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.panel import Panel, build_panel

COLUMNS = Columns(targets=("gain",), entity="who", time="time")
END = pd.Timestamp("2024-06-28 23:59:59")


def exchange_hours(end: pd.Timestamp, count: int) -> pd.DatetimeIndex:
    """Hours from 10 to 16 on weekdays, the last `count` before the end."""
    days = pd.bdate_range(end=end.normalize(), periods=count // 7 + 2)
    hours = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(10, 17)])
    return hours[hours <= end][-count:]


def times(calendar: str, count: int, end: pd.Timestamp, seed: int) -> pd.DatetimeIndex:
    """The last `count` times of a calendar before `end`; some of daily ones are missing."""
    draw = np.random.default_rng(seed)
    if calendar == "own":
        days = np.cumsum(draw.integers(1, 90, count))[::-1]
        return pd.DatetimeIndex(end.normalize() - pd.to_timedelta(days, unit="D"))
    if calendar == "exchange":
        return exchange_hours(end, count)
    every = {
        "weekdays": "B",
        "every_day": "D",
        "weekly": "W-FRI",
        "monthly": "ME",
        "month_begin": "MS",
        "quarterly": "QE",
        "hourly": "h",
        "five_minutes": "5min",
    }[calendar]
    out = pd.date_range(
        end=end.floor(every if calendar in ("hourly", "five_minutes") else "D"), periods=count, freq=every
    )
    keep = draw.random(count) > 0.04
    keep[-1] = True
    return out[keep] if calendar in ("weekdays", "every_day", "hourly") else out


CALENDARS = (
    *("weekdays", "every_day", "weekly", "monthly", "month_begin", "quarterly"),
    *("hourly", "five_minutes", "exchange", "own"),
)


def series(name: str, calendar: str, count: int = 300, ends_before: int = 0, seed: int = 0) -> pd.DataFrame:
    """Returns of one series; it ends some days before END."""
    index = times(calendar, count, END - pd.Timedelta(days=ends_before), seed)
    gain = np.random.default_rng([seed, 1]).standard_t(5, len(index))
    return pd.DataFrame({"who": name, "time": index.strftime("%Y-%m-%dT%H:%M:%S"), "gain": gain})


def panel_of(
    *tables: pd.DataFrame,
    as_of: str | None = str(END).replace(" ", "T"),
    columns: Columns = COLUMNS,
    named: Days | None = None,
) -> Panel:
    """The panel of some series as of the end."""
    date = None if as_of is None else np.datetime64(as_of, "us")
    accepted = check(pd.concat(tables, ignore_index=True), columns, date).accepted
    return build_panel(view(accepted, columns, date), columns, date, named=named)
