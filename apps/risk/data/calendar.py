"""Calendars that need no rule: the times of a table are its calendar, and its pattern says which come next.

Legend: R rows, T distinct times, H steps ahead. Times are datetime64[us].
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.parse import SIZE_HINT

_DAY = np.timedelta64(1, "D")
_MONTH_DAYS = 365.2425 / 12
_ENOUGH = 15  # times from which on weekdays that never occur count as days off
_RARE = 0.25  # a weekday this much rarer than the most frequent one is a day off
_MOST = 0.9  # share of times that must keep a rule


def ordinals(time_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's place in the calendar, (R,) int32, and the calendar, (T,) sorted distinct times.

    A weekend, a holiday or any irregular spacing that all series share is no gap.
    """
    code_R, times = pd.factorize(time_R, size_hint=SIZE_HINT)
    order = np.argsort(times, kind="stable")
    rank = np.empty(len(times), dtype=np.int32)
    rank[order] = np.arange(len(times), dtype=np.int32)
    return rank[code_R], np.asarray(times)[order]


def times_ahead(calendar_T: np.ndarray, horizon: int, start: np.datetime64 | None = None) -> np.ndarray:
    """Return the next H times after `start` (by default the calendar's last), (H,), by the calendar's pattern.

    Daily data keeps its weekdays (holidays to come are unknown), months keep their first, last, first or last
    working day or the day they had, all else goes on by the median gap. One time alone is taken as daily.
    """
    if len(calendar_T) == 0 or horizon < 1:
        raise ValueError(
            f"wanted a calendar and a horizon of 1 or more, got {len(calendar_T)} times, {horizon} steps"
        )
    last = calendar_T[-1] if start is None else start
    gaps = np.diff(calendar_T)
    gap = np.median(gaps.astype(np.int64)).astype("timedelta64[us]") if len(gaps) else _DAY
    whole_days = bool((calendar_T == calendar_T.astype("datetime64[D]")).all())
    days = gap / _DAY
    months = round(days / _MONTH_DAYS)
    if whole_days and days == 1:
        return _days_ahead(calendar_T, horizon, last)
    if whole_days and months >= 1 and abs(days - months * _MONTH_DAYS) <= 3:
        return _months_ahead(calendar_T, horizon, last, months)
    return np.asarray(last + np.arange(1, horizon + 1) * gap, dtype="datetime64[us]")


def _days_ahead(calendar_T: np.ndarray, horizon: int, last: np.datetime64) -> np.ndarray:
    weekdays = np.bincount(_weekday(calendar_T), minlength=7)
    if len(calendar_T) >= _ENOUGH:
        open_7 = weekdays >= _RARE * weekdays.max()
    else:
        open_7 = np.ones(7, dtype=bool)
        open_7[5:] = weekdays[5:].any()
    ahead = last.astype("datetime64[D]") + np.arange(1, 7 * horizon + 8)
    return ahead[open_7[_weekday(ahead)]][:horizon].astype("datetime64[us]")


def _weekday(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _months_ahead(calendar_T: np.ndarray, horizon: int, last: np.datetime64, months: int) -> np.ndarray:
    times = pd.DatetimeIndex(calendar_T)
    first = pd.Timestamp(last)
    rules = (pd.offsets.MonthEnd, pd.offsets.MonthBegin, pd.offsets.BMonthEnd, pd.offsets.BMonthBegin)
    for rule in rules:
        offset = rule()
        if np.mean([offset.is_on_offset(time) for time in times[-60:]]) >= _MOST:
            # start from the month's own anchor: a quarter's end stays one
            ahead = [offset.rollback(first) + months * step * offset for step in range(1, horizon + 1)]
            return np.array(ahead, dtype="datetime64[us]")
    ahead = [first + pd.DateOffset(months=months * step) for step in range(1, horizon + 1)]
    return np.array(ahead, dtype="datetime64[us]")
