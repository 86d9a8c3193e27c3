"""How many steps of a calendar make a season, told by its own pattern.

Legend: T times.
"""

from __future__ import annotations

import numpy as np

_DAY = np.timedelta64(1, "D")
_MONTH = 365.2425 / 12
_RARE = 0.25  # a weekday this much rarer than the most frequent one is a day off


def season_of(calendar_T: np.ndarray) -> int:
    """Return the season in steps: the day for what is finer, the week for days, the year for weeks and longer.

    24 for hours, 7 for days (5 where weekends are off), 52 for weeks, 12 for months, 4 for quarters; 1, none, for a
    spacing that fits none of these and for fewer than three times. Source of the usual seasons: Hyndman &
    Athanasopoulos, Forecasting: Principles and Practice, 3rd ed. 2021, section 2.1, https://otexts.com/fpp3.
    """
    if len(calendar_T) < 3:
        return 1
    days = float(np.median(np.diff(calendar_T)) / _DAY)
    if days < 1.0:
        steps = 1.0 / days
        return round(steps) if abs(steps - round(steps)) < 1e-6 * steps else 1
    if days == 1.0:
        weekday_T = (calendar_T.astype("datetime64[D]").astype(np.int64) + 3) % 7
        often_7 = np.bincount(weekday_T, minlength=7)
        return int(np.sum(often_7 >= _RARE * often_7.max()))
    if days == 7.0:
        return 52
    months = round(days / _MONTH)
    if months in (1, 2, 3, 4, 6, 12) and abs(days - months * _MONTH) <= 3.0:
        return 12 // months
    return 1
