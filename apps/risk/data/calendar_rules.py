"""Which calendar a series has: read from its own times up to the as-of date alone, so that company changes nothing.

The rule is that of the usual gap. Days keep their weekdays; months their day; weeks and other equal gaps their phase;
times within days the hours of the day at which values come. All else has times of its own.
Legend: N series, P rows of the past, one series after another, G gaps between rows of a series.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.risk.data.calendar import DAY_US, OWN_TIMES, Calendar, Days, Even, Months, Sessions

ENOUGH = 15  # rows from which on weekdays that never occur count as days off
RARE = 0.25  # a weekday or an hour this much rarer than the most frequent one is off
MOST = 0.9  # share of gaps or rows that must keep a rule
DENSE = 0.75  # share of steps with a row from which times within days go round the clock
SPARSE = 0.25  # share of steps with a row below which times are a series' own
FEW = 4  # rows below which gaps of less than a week say nothing: days
THIN = 0.2  # share of rows on the day after the one before from which on a series with many gaps is daily
_MONTH = 365.2425 / 12


@dataclass(frozen=True, eq=False)
class Pasts:
    """Times of N pasts, int64 microseconds: by the wall clock and in UTC. count_N: rows of each, 1 or more."""

    wall_P: np.ndarray
    instant_P: np.ndarray
    count_N: np.ndarray

    @cached_property
    def start_N(self) -> np.ndarray:
        """Index of each series' first row."""
        return np.append(0, np.cumsum(self.count_N)[:-1])

    @cached_property
    def owner_P(self) -> np.ndarray:
        """Number of the series of each row."""
        return np.repeat(np.arange(len(self.count_N)), self.count_N)

    @cached_property
    def day_P(self) -> np.ndarray:
        """Day of each row, counted from 1970-01-01."""
        return self.wall_P // DAY_US

    @cached_property
    def clock_P(self) -> np.ndarray:
        """Time of the day of each row."""
        return self.wall_P - self.day_P * DAY_US

    @cached_property
    def last_N(self) -> np.ndarray:
        """Index of each series' last row."""
        return self.start_N + self.count_N - 1

    def some(self, keep_N: np.ndarray) -> Pasts:
        """Return the pasts of some series, (N,) bool."""
        keep_P = np.repeat(keep_N, self.count_N)
        return Pasts(self.wall_P[keep_P], self.instant_P[keep_P], self.count_N[keep_N])

    def gaps(self, value_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the differences of neighbouring rows of a series, and whose they are, (G,) each."""
        within_P = self.owner_P[1:] == self.owner_P[:-1]
        return np.diff(value_P)[within_P], self.owner_P[1:][within_P]

    def share(self, holds_P: np.ndarray) -> np.ndarray:
        """Return the share of each series' rows for which something holds, (N,)."""
        return np.add.reduceat(holds_P.astype(np.float64), self.start_N) / self.count_N

    def usual_gap(self, value_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower median gap of each series, 0 of one row alone, and the share of gaps that have it."""
        gap_G, owner_G = self.gaps(value_P)
        count_N = self.count_N - 1
        order_G = np.lexsort((gap_G, owner_G))
        first_N = np.append(0, np.cumsum(count_N)[:-1])
        any_N = count_N > 0
        gap_N = np.zeros(len(count_N), dtype=np.int64)
        gap_N[any_N] = gap_G[order_G[(first_N + (count_N - 1) // 2)[any_N]]]
        same_N = np.bincount(owner_G, gap_G == gap_N[owner_G], len(count_N))
        return gap_N, same_N / np.maximum(count_N, 1)

    def most_frequent(self, value_P: np.ndarray) -> np.ndarray:
        """Return the most frequent value of each series, (N,); of equally frequent ones the least."""
        if (value_P == value_P[self.start_N][self.owner_P]).all():
            return value_P[self.start_N]
        order_P = np.lexsort((value_P, self.owner_P))
        value_P = value_P[order_P]
        new_P = np.append(True, (np.diff(value_P) != 0) | (np.diff(self.owner_P) != 0))
        first_U = np.flatnonzero(new_P)
        often_U = np.diff(np.append(first_U, len(value_P)))
        owner_U = self.owner_P[first_U]
        best_U = np.lexsort((-value_P[first_U], often_U, owner_U))  # the last of each series counts
        return value_P[first_U[best_U[np.cumsum(np.bincount(owner_U)) - 1]]]


def calendars_of(pasts: Pasts, named: Days | None = None) -> list[Calendar]:
    """Return the calendar of each series. named: that of daily series whose rows keep to its open days."""
    out: list[Calendar] = [OWN_TIMES] * len(pasts.count_N)
    gap_N, share_N = pasts.usual_gap(pasts.day_P)
    few_N = (pasts.count_N < FEW) & (gap_N < 7)
    single_N = pasts.count_N == 1
    within_N = (gap_N == 0) & ~single_N
    next_N = pasts.share(np.append(False, (np.diff(pasts.day_P) == 1) & (np.diff(pasts.owner_P) == 0)))
    daily_N = (gap_N == 1) | single_N | (few_N & ~within_N) | ((gap_N > 1) & (gap_N < 7) & (next_N >= THIN))
    months_N = np.round(gap_N / _MONTH).astype(np.int64)
    near_N = (months_N > 0) & (np.abs(gap_N - months_N * _MONTH) <= 3.0)
    monthly_N = near_N & ~((share_N >= MOST) & (pasts.count_N > FEW))
    even_N = ~daily_N & ~monthly_N & (gap_N > 1) & ((gap_N % 7 == 0) | (share_N >= MOST))
    other_N = ~daily_N & ~monthly_N & ~even_N & (gap_N > 1) & (gap_N < 7)
    _put(out, pasts, daily_N, lambda some: _days(some, named))
    _put(out, pasts, other_N, _some_weekdays)
    _put(out, pasts, monthly_N, lambda some: _months(some, months_N[monthly_N]))
    _put(out, pasts, even_N, lambda some: _even_days(some, gap_N[even_N]))
    _put(out, pasts, within_N, _within_days)
    return out


def clock_of(pasts: Pasts) -> np.ndarray:
    """Return the usual time of the day of each series' rows, (N,) int64 microseconds."""
    return pasts.most_frequent(pasts.clock_P)


def _put(
    out: list[Calendar], pasts: Pasts, which_N: np.ndarray, rule: Callable[[Pasts], list[Calendar]]
) -> None:
    if which_N.any():
        selected = pasts if which_N.all() else pasts.some(which_N)
        for number, calendar in zip(np.flatnonzero(which_N).tolist(), rule(selected), strict=True):
            out[number] = calendar


def _often(pasts: Pasts, value_P: np.ndarray, size: int) -> np.ndarray:
    """Return how often each of the values 0 … size - 1 occurs, (N, size)."""
    key_P = pasts.owner_P * size + value_P
    return np.bincount(key_P, minlength=len(pasts.count_N) * size).reshape(-1, size)


def _open_weekdays(pasts: Pasts) -> np.ndarray:
    often_N7 = _often(pasts, (pasts.day_P + 3) % 7, 7)  # 1970-01-01 was a Thursday
    open_N7 = often_N7 >= RARE * often_N7.max(axis=1, keepdims=True)
    early_N7 = np.ones_like(open_N7)
    early_N7[:, 5:] = often_N7[:, 5:].any(axis=1, keepdims=True)
    return np.where((pasts.count_N >= ENOUGH)[:, None], open_N7, early_N7)


def _masks(open_N7: np.ndarray) -> list[Days]:
    known: dict[tuple[bool, ...], Days] = {}
    return [known.setdefault(key, Days(key)) for key in map(tuple, open_N7.tolist())]


def _days(pasts: Pasts, named: Days | None) -> list[Calendar]:
    open_N7 = _open_weekdays(pasts)
    calendars: list[Calendar] = list(_masks(open_N7))
    if named is not None:
        keeps_N = pasts.share(named.is_open(pasts.wall_P.astype("datetime64[us]"))) >= MOST
        keeps_N &= (open_N7 <= np.array(named.open_7)).all(axis=1)
        calendars = [named if keeps else one for keeps, one in zip(keeps_N, calendars, strict=True)]
    return calendars


def _some_weekdays(pasts: Pasts) -> list[Calendar]:
    """Two to five days of each week, as Mondays and Thursdays; other gaps of less than a week are no rule."""
    open_N7 = _open_weekdays(pasts)
    span_N = pasts.day_P[pasts.last_N] - pasts.day_P[pasts.start_N] + 1
    dense_N = pasts.count_N >= DENSE * span_N * open_N7.sum(axis=1) / 7.0
    rule_N = dense_N & (pasts.count_N >= ENOUGH)
    return [days if rule else OWN_TIMES for days, rule in zip(_masks(open_N7), rule_N, strict=True)]


def _months(pasts: Pasts, every_N: np.ndarray) -> list[Calendar]:
    day_P = pasts.day_P.astype("datetime64[D]")
    month_P = day_P.astype("datetime64[M]")
    first_P, last_P = month_P.astype("datetime64[D]"), (month_P + 1).astype("datetime64[D]") - 1
    rules = (
        (Months.LAST, day_P == last_P),
        (1, day_P == first_P),
        (Months.LAST_OPEN, day_P == np.busday_offset(last_P, 0, roll="backward")),
        (Months.FIRST_OPEN, day_P == np.busday_offset(first_P, 0, roll="forward")),
    )
    anchor_N = (day_P - first_P).astype(np.int64)[pasts.last_N] + 1
    for anchor, holds_P in reversed(rules):
        anchor_N = np.where(pasts.share(holds_P) >= MOST, anchor, anchor_N)
    phase_N = pasts.most_frequent(month_P.astype(np.int64) % every_N[pasts.owner_P])
    return [Months(*one) for one in zip(every_N.tolist(), phase_N.tolist(), anchor_N.tolist(), strict=True)]


def _even_days(pasts: Pasts, gap_N: np.ndarray) -> list[Calendar]:
    phase_N = pasts.most_frequent(pasts.day_P % gap_N[pasts.owner_P])
    pairs = zip((gap_N * DAY_US).tolist(), (phase_N * DAY_US).tolist(), strict=True)
    return [Even(*pair) for pair in pairs]


def _within_days(pasts: Pasts) -> list[Calendar]:
    gap_N, share_N = pasts.usual_gap(pasts.wall_P)
    rule_N = (share_N >= 0.5) & (gap_N > 0)
    gap_N = np.maximum(gap_N, 1)
    span_N = (pasts.instant_P[pasts.last_N] - pasts.instant_P[pasts.start_N]) // gap_N + 1
    dense_N = pasts.count_N / span_N
    phase_N = pasts.most_frequent(pasts.instant_P % gap_N[pasts.owner_P])
    out: list[Calendar] = [
        Even(gap, phase) if rule and dense >= SPARSE else OWN_TIMES
        for gap, phase, rule, dense in zip(
            gap_N.tolist(), phase_N.tolist(), rule_N.tolist(), dense_N.tolist(), strict=True
        )
    ]
    session_N = rule_N & (dense_N < DENSE) & (DAY_US % gap_N == 0)
    _put(out, pasts, session_N, lambda some: _sessions(some, gap_N[session_N]))
    return out


def _sessions(pasts: Pasts, gap_N: np.ndarray) -> list[Calendar]:
    """Hours of the day that come often, on the weekdays that come often."""
    phase_N = pasts.most_frequent(pasts.clock_P % gap_N[pasts.owner_P])
    slots_N = DAY_US // gap_N
    slot_P = (pasts.clock_P - phase_N[pasts.owner_P] + gap_N[pasts.owner_P] // 2) // gap_N[pasts.owner_P]
    slot_P %= slots_N[pasts.owner_P]
    calendars: list[Calendar] = []
    for n, days in enumerate(_masks(_open_weekdays(pasts))):
        own_P = slot_P[pasts.start_N[n] : pasts.last_N[n] + 1]
        often_Z = np.bincount(own_P, minlength=int(slots_N[n]))
        open_K = np.flatnonzero(often_Z >= RARE * often_Z.max())
        slots = (open_K * gap_N[n] + phase_N[n]).tolist()
        calendars.append(Sessions(days, int(gap_N[n]), tuple(slots)))
    return calendars
