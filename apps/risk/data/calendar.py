"""Calendars: at which times a series has a value, as whole numbers of steps and back.

A calendar is a rule, not a list: the number of a step depends on its time alone, so that two series of one calendar
agree on it whatever other series, starts and ends there are. Steps are counted from a date before all data.
Legend: R rows, S steps. Times are datetime64[us] of a wall clock, unless a calendar counts instants (UTC).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from apps.risk.data.parse import SIZE_HINT

DAY_US = 86_400_000_000
_FIRST_DAY = np.datetime64("1600-01-01")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = (("day", DAY_US), ("hour", 3_600_000_000), ("minute", 60_000_000), ("second", 1_000_000))


class Calendar(Protocol):
    """What all calendars do; they are equal where their rules are."""

    @property
    def instants(self) -> bool:
        """Whether times are instants in UTC instead of a wall clock's."""

    @property
    def season(self) -> int:
        """Steps of a season: a day, a week or a year; 1 where none fits."""

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return the last step that is not later than each time, (R,) int64."""

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return the times of steps, (S,); for days and longer the midnight at which a step's day begins."""


@dataclass(frozen=True)
class Days:
    """Days of some weekdays. open_7: from Monday on. closed: holidays, sorted. name: of a calendar chosen by name."""

    open_7: tuple[bool, ...]
    closed: tuple[np.datetime64, ...] = ()
    name: str = ""
    instants = False

    @property
    def season(self) -> int:
        """Steps of a week."""
        return sum(self.open_7)

    @cached_property
    def _rule(self) -> np.busdaycalendar:
        return np.busdaycalendar(list(self.open_7), np.array(self.closed, dtype="datetime64[D]"))

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return the last open day that is not later."""
        return _by_day(time_R, lambda day_D: np.busday_count(_FIRST_DAY, day_D + 1, busdaycal=self._rule) - 1)

    def is_open(self, time_R: np.ndarray) -> np.ndarray:
        """Return which times lie on an open day, (R,) bool."""
        return _by_day(time_R, lambda day_D: np.is_busday(day_D, busdaycal=self._rule))

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return the midnights of open days."""
        days = np.busday_offset(_FIRST_DAY, step_S, roll="forward", busdaycal=self._rule)
        return np.asarray(days, dtype="datetime64[us]")

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.open_7 in (WEEKDAYS.open_7, EVERY_DAY.open_7):
            return "weekdays" if self.season == 5 else "every day"
        return ", ".join(day for day, is_open in zip(_WEEKDAYS, self.open_7, strict=True) if is_open)


WEEKDAYS = Days((True,) * 5 + (False,) * 2)
EVERY_DAY = Days((True,) * 7)


@dataclass(frozen=True)
class Months:
    """Every so-manieth month. phase: month number modulo `every`. day: 1 … 31, or FIRST … LAST_OPEN below.

    A step belongs to its month whatever the day on which its row stands.
    """

    every: int
    phase: int
    day: int
    instants = False

    FIRST_OPEN, LAST_OPEN, LAST = -1, -2, -3  # first and last weekday, last day of the month

    @property
    def season(self) -> int:
        """Steps of a year."""
        return 12 // self.every if 12 % self.every == 0 else 1

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return the number of each time's month, or of the group of months."""
        return (time_R.astype("datetime64[M]").astype(np.int64) - self.phase) // self.every

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return the midnights of the days that the rule names."""
        month_S = (np.asarray(step_S) * self.every + self.phase).astype("datetime64[M]")
        first_S = month_S.astype("datetime64[D]")
        last_S = (month_S + 1).astype("datetime64[D]") - 1
        if self.day == self.FIRST_OPEN:
            day_S = np.busday_offset(first_S, 0, roll="forward")
        elif self.day == self.LAST_OPEN:
            day_S = np.busday_offset(last_S, 0, roll="backward")
        elif self.day == self.LAST:
            day_S = last_S
        else:
            day_S = np.minimum(first_S + (self.day - 1), last_S)
        return np.asarray(day_S, dtype="datetime64[us]")

    def __str__(self) -> str:
        return {1: "monthly", 3: "quarterly", 12: "yearly"}.get(self.every, f"every {self.every} months")


@dataclass(frozen=True)
class Even:
    """Equal gaps. gap, phase: microseconds; a row counts for the step nearest to it. Below a day: instants."""

    gap: int
    phase: int

    @property
    def instants(self) -> bool:
        """Hours go on evenly where the clock is changed; days are those of the wall clock."""
        return self.gap < DAY_US

    @property
    def season(self) -> int:
        """A day of what is finer, a year of weeks."""
        if self.gap == 7 * DAY_US:
            return 52
        return DAY_US // self.gap if self.gap < DAY_US and DAY_US % self.gap == 0 else 1

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return the nearest step."""
        time_R = time_R.astype("datetime64[us]").astype(np.int64)
        return np.asarray((time_R - self.phase + self.gap // 2) // self.gap)

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return the times of steps."""
        return np.asarray(
            (np.asarray(step_S, dtype=np.int64) * self.gap + self.phase).astype("datetime64[us]")
        )

    def __str__(self) -> str:
        if self.gap == 7 * DAY_US:
            return f"weekly on {_WEEKDAYS[(self.phase // DAY_US + 3) % 7]}"
        unit, size = next(((u, s) for u, s in _UNITS if self.gap % s == 0), ("microsecond", 1))
        count = self.gap // size
        return f"every {unit}" if count == 1 else f"every {count} {unit}s"


@dataclass(frozen=True)
class Sessions:
    """Times of the day on open days, as of an exchange by the hour. slots: microseconds after midnight, rising."""

    days: Days
    gap: int
    slots: tuple[int, ...]
    instants = False

    @property
    def season(self) -> int:
        """Steps of a day."""
        return len(self.slots)

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return the slot nearest to each time, of a closed day the last one before it."""
        day_R = time_R.astype("datetime64[D]").astype("datetime64[us]")
        clock_R = (time_R - day_R).astype(np.int64) + self.gap // 2
        slot_R = np.searchsorted(np.array(self.slots), clock_R, side="right") - 1
        slot_R = np.where(self.days.is_open(day_R), slot_R, len(self.slots) - 1)
        return np.asarray(self.days.steps(day_R) * len(self.slots) + slot_R)

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return the times of steps."""
        day_S, slot_S = np.divmod(np.asarray(step_S, dtype=np.int64), len(self.slots))
        return np.asarray(self.days.times(day_S) + np.array(self.slots)[slot_S].astype("timedelta64[us]"))

    def __str__(self) -> str:
        first, last = (
            np.datetime64(slot, "us").astype(str)[11:16] for slot in (self.slots[0], self.slots[-1])
        )
        return f"{Even(self.gap, 0)} from {first} to {last}, {self.days}"


@dataclass(frozen=True)
class OwnTimes:
    """Times without a rule: each row of a series is a step, counted back from its last one of the past, which is -1."""

    instants = False
    season = 1

    def steps(self, time_R: np.ndarray) -> np.ndarray:
        """Return -1 everywhere: a time alone has no number."""
        return np.full(len(time_R), -1, dtype=np.int64)

    def times(self, step_S: np.ndarray) -> np.ndarray:
        """Return NaT everywhere: a step alone has no time."""
        return np.full(len(step_S), np.datetime64("NaT"), dtype="datetime64[us]")

    def __str__(self) -> str:
        return "own times"


OWN_TIMES = OwnTimes()


def ordinals(time_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's index among the times that occur, (R,) int64, and those times, sorted."""
    code_R, times = pd.factorize(time_R, size_hint=SIZE_HINT)
    order = np.argsort(times, kind="stable")
    rank = np.empty(len(times), dtype=np.int64)
    rank[order] = np.arange(len(times))
    return rank[code_R], np.asarray(times)[order]


def _by_day(time_R: np.ndarray, ask: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Ask once for each day of the span instead of once for each row."""
    day_R = time_R.astype("datetime64[D]")
    if not len(day_R):
        return np.zeros(0, dtype=np.int64)
    first, last = day_R.min(), day_R.max()
    answer_D = ask(np.arange(first, last + 1))
    return np.asarray(answer_D[(day_R - first).astype(np.int64)])
