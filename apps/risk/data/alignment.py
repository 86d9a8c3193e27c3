"""The step of each row in the calendar of its series, and the axes on which series of one calendar stand together.

A step of the rule without a row is a gap. A row between two steps counts for the earlier one; where that has a row
already, rows before it move back up to the nearest gap, so that no row is lost and their order stays. A series that
its rule fits badly (one row in twenty shares its step with another, or most steps are empty) has times of its own.
Legend: N series, R rows, T steps of an axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.risk.data.calendar import DAY_US, OWN_TIMES, Calendar, Days, Even, Sessions, ordinals
from apps.risk.data.calendar_rules import SPARSE, Pasts, calendars_of, clock_of

CROWDED = 0.05  # share of rows whose step another row has already


@dataclass(frozen=True, eq=False)
class Axis:
    """Steps 0 … T - 1 on which the series of a calendar stand together; `known` of them lie up to the as-of date.

    calendar: None where the times are listed (`listed`). slot_T: steps of the rule; of days only those on which a
    series has a row, so that a holiday is none, else all of them.
    """

    calendar: Calendar | None
    slot_T: np.ndarray | range
    known: int
    listed_T: np.ndarray | None = None

    @property
    def times_T(self) -> np.ndarray:
        """Times of the steps, (T,) datetime64[us]."""
        if self.listed_T is not None or self.calendar is None:
            return np.asarray(self.listed_T)
        return self.calendar.times(np.asarray(self.slot_T, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Alignment:
    """The position of each row in time. slot_R: int64, the step of the rule. step_R: int64, the step of the axis.

    axes, axis_N: axes, and the number of each series' own. clock_N: int64, microseconds after midnight at which a
    series' values usually come; 0 where its calendar has hours itself.
    """

    axes: tuple[Axis, ...]
    axis_N: np.ndarray
    step_R: np.ndarray
    slot_R: np.ndarray
    clock_N: np.ndarray


def align(
    wall_R: np.ndarray,
    instant_R: np.ndarray,
    offset_N1: np.ndarray,
    past_N: np.ndarray,
    named: Days | None = None,
) -> Alignment:
    """Align the rows of N series to the steps of their calendars, whose instants rise in each.

    Times: datetime64[us], by the wall clock and in UTC. past_N: rows up to the as-of date; a series without any has
    the calendar of its rows ahead. named: a calendar of days (`calendars_of`).
    """
    length_N = np.diff(offset_N1)
    entity_R = np.repeat(np.arange(len(length_N)), length_N)
    index_R = np.arange(len(wall_R)) - np.repeat(offset_N1[:-1], length_N)
    slot_R = index_R - np.repeat(past_N, length_N)  # of times of their own
    past_R = slot_R < 0
    used_N = np.where(past_N > 0, past_N, length_N)
    used_R = past_R | np.repeat(past_N == 0, length_N)
    pasts = Pasts(wall_R.astype(np.int64)[used_R], instant_R.astype(np.int64)[used_R], used_N)
    calendars, number_N, clock_N = _distinct(pasts, named)
    for number, calendar in enumerate(calendars[1:], start=1):
        which_N = number_N == number
        which_R = slice(None) if which_N.all() else np.flatnonzero(which_N[entity_R])
        raw_X = calendar.steps((instant_R if calendar.instants else wall_R)[which_R])
        owner_X, used_X = entity_R[which_R], used_R[which_R]
        own_X = _apart(raw_X, owner_X, index_R[which_R], used_X)
        fits_N = _fits(raw_X[used_X], own_X[used_X], owner_X[used_X], len(length_N))
        slot_R[which_R] = np.where(fits_N[owner_X], own_X, slot_R[which_R])
        number_N[which_N & ~fits_N] = 0
    hours_N = np.array([isinstance(one, Even | Sessions) and one.gap < DAY_US for one in calendars])[number_N]
    axes, axis_N, step_R = axes_of(calendars, number_N, slot_R, entity_R, past_R)
    return Alignment(axes, axis_N, step_R, slot_R, np.where(hours_N, 0, clock_N))


def ends_of(
    alignment: Alignment, last_N: np.ndarray, wall: np.datetime64, offset_N: np.ndarray
) -> np.ndarray:
    """Return the last step of each series' calendar that is over as of a date, (N,) int64.

    last_N: rows of the last value of the past, whose step is over in any case. wall: the date by the wall clock.
    offset_N: timedelta64, by which each series' clock is ahead of UTC.
    """
    key_N = np.stack([alignment.axis_N, alignment.clock_N, offset_N.astype(np.int64)], axis=1)
    key_U, which_N = np.unique(key_N, axis=0, return_inverse=True)
    end_U = np.full(len(key_U), np.iinfo(np.int64).min)
    for key, (number, clock, offset) in enumerate(key_U.tolist()):
        calendar = alignment.axes[number].calendar
        if calendar is not None and calendar != OWN_TIMES:
            time = wall - np.timedelta64(offset, "us") if calendar.instants else wall
            end_U[key] = last_over(calendar, clock, time)
    return np.maximum(end_U[which_N.ravel()], alignment.slot_R[last_N])


def listed(instant_R: np.ndarray, wall_R: np.ndarray, past_R: np.ndarray, entities: int) -> Alignment:
    """Align rows to one axis of all times that occur: the calendar of a whole table, and of its event."""
    step_R, instant_T = ordinals(instant_R)
    wall_T = np.empty_like(instant_T)
    wall_T[step_R] = wall_R
    known = int(step_R[past_R].max(initial=-1)) + 1
    axis = Axis(None, range(len(instant_T)), known, wall_T)
    nothing_N = np.zeros(entities, dtype=np.int64)
    return Alignment((axis,), nothing_N, step_R, step_R, nothing_N)


def last_over(calendar: Calendar, clock: int, time: np.datetime64) -> int:
    """Return the last step of a calendar whose time is not later than this one. clock: µs after midnight."""
    step = int(calendar.steps(np.array([time], dtype="datetime64[us]"))[0]) + np.arange(-2, 2)
    over = calendar.times(step) + np.timedelta64(clock, "us") <= time
    return int(step[over].max())


def _distinct(pasts: Pasts, named: Days | None) -> tuple[list[Calendar], np.ndarray, np.ndarray]:
    """Return the calendars that occur, OWN_TIMES first, the number of each series' own, and the clocks, (N,).

    Each list of times is processed once, however many series have it.
    """
    mixed_P = _mixed(_mixed(pasts.wall_P) + pasts.instant_P.astype(np.uint64))
    digest_N = _mixed(np.add.reduceat(mixed_P, pasts.start_N) + pasts.count_N.astype(np.uint64))
    _, first_U, which_N = np.unique(digest_N, return_index=True, return_inverse=True)
    once_N = np.zeros(len(pasts.count_N), dtype=bool)
    once_N[first_U] = True
    order_U = np.argsort(np.argsort(first_U))  # `some` keeps the order of the series
    unique = pasts if once_N.all() else pasts.some(once_N)
    number: dict[Calendar, int] = {OWN_TIMES: 0}
    number_U = np.array([number.setdefault(one, len(number)) for one in calendars_of(unique, named)])
    return list(number), number_U[order_U][which_N], clock_of(unique)[order_U][which_N]


def _mixed(value: np.ndarray) -> np.ndarray:
    """Return well mixed 64-bit numbers (splitmix64; Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195)."""
    z = value.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _apart(raw_X: np.ndarray, owner_X: np.ndarray, index_X: np.ndarray, past_X: np.ndarray) -> np.ndarray:
    """Return steps of which none of a series comes twice; rows rise in each series.

    Rows of the past move back, those ahead move on.
    """
    rising_X = np.diff(raw_X) > 0
    if (rising_X | (owner_X[1:] != owner_X[:-1])).all():
        return raw_X
    _, first_K, number_X = np.unique(owner_X, return_index=True, return_inverse=True)
    base_X = raw_X[first_K][number_X]
    free_X = raw_X - base_X - index_X
    wide = int(np.abs(free_X).max()) + 1
    lane_X = number_X * (2 * wide)  # so that the extremes of one series never reach another
    back_X = np.where(past_X, free_X, wide) + lane_X
    back_X = np.minimum.accumulate(back_X[::-1])[::-1]
    on_X = np.maximum.accumulate(np.where(past_X, back_X, free_X + lane_X))
    return np.where(past_X, back_X, on_X) - lane_X + index_X + base_X


def _fits(raw_X: np.ndarray, own_X: np.ndarray, owner_X: np.ndarray, entities: int) -> np.ndarray:
    """Return whose rows keep the rule, (N,) bool: few share a step, and not too many steps are empty."""
    start_K = np.flatnonzero(np.append(True, np.diff(owner_X) != 0))
    count_K = np.diff(np.append(start_K, len(owner_X)))
    same_X = np.append(False, (np.diff(raw_X) == 0) & (np.diff(owner_X) == 0))
    crowded_K = np.add.reduceat(same_X.astype(np.int64), start_K)
    span_K = own_X[start_K + count_K - 1] - own_X[start_K] + 1
    fits_N = np.zeros(entities, dtype=bool)
    fits_N[owner_X[start_K]] = (crowded_K <= CROWDED * count_K) & (count_K >= SPARSE * span_K)
    return fits_N


def axes_of(
    calendars: list[Calendar],
    number_N: np.ndarray,
    slot_R: np.ndarray,
    entity_R: np.ndarray,
    past_R: np.ndarray,
) -> tuple[tuple[Axis, ...], np.ndarray, np.ndarray]:
    """Return the axes of series of some calendars, the number of each series' own, (N,), and steps on it, (R,).

    number_N: of each series its calendar's. past_R: bool, rows up to the as-of date.
    """
    axes: list[Axis] = []
    axis_N, step_R = np.zeros_like(number_N), np.zeros_like(slot_R)
    for number in np.unique(number_N).tolist():
        which_N = number_N == number
        which_R = slice(None) if which_N.all() else np.flatnonzero(which_N[entity_R])
        slot_X, calendar = slot_R[which_R], calendars[number]
        first, last = int(slot_X.min()), int(slot_X.max())
        end = int(slot_X[past_R[which_R]].max(initial=first - 1)) + 1
        if isinstance(calendar, Days):
            there = np.zeros(last - first + 1, dtype=bool)
            there[slot_X - first] = True
            step_R[which_R] = (np.cumsum(there) - 1)[slot_X - first]
            known = int(there[: end - first].sum())
            axis = Axis(calendar, np.flatnonzero(there) + first, known)
        else:
            step_R[which_R] = slot_X - first
            axis = Axis(calendar, range(first, last + 1), end - first)
        axis_N[which_N] = len(axes)
        axes.append(axis)
    return tuple(axes), axis_N, step_R
