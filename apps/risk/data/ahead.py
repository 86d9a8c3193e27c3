"""Which times come after the as-of date, by the calendar of each series.

Legend: N series, H steps ahead, T times. Times are datetime64[us], shown by the wall clock.
"""

from __future__ import annotations

import numpy as np

from apps.risk.data.alignment import last_over
from apps.risk.data.calendar import DAY_US, OWN_TIMES
from apps.risk.data.calendar_rules import Pasts, calendars_of, clock_of
from apps.risk.data.panel import Panel
from apps.risk.data.parse import walls_of


def times_ahead(panel: Panel, horizon: int) -> np.ndarray:
    """Return the next H times of each series, (N, H): the first that lie after the as-of date, with its own clock.

    Times of their own go on by their usual gap. Holidays to come are known of a calendar chosen by name alone.
    """
    out_NH = np.empty((len(panel.entities), horizon), dtype="datetime64[us]")
    last_N = panel.offset_N1[:-1] + np.maximum(panel.past_N, 1) - 1
    for number, axis in enumerate(panel.axes):
        which_N = np.flatnonzero(panel.axis_N == number)
        if not len(which_N):
            continue
        if axis.calendar is None or axis.calendar == OWN_TIMES:
            out_NH[which_N] = _by_gap(panel, which_N, last_N[which_N], horizon)
            continue
        step_NH = panel.end_N[which_N, None] + np.arange(1, horizon + 1)
        step_K, inverse = np.unique(step_NH, return_inverse=True)
        time_NH = axis.calendar.times(step_K)[inverse].reshape(step_NH.shape)
        if axis.calendar.instants:
            last_X = last_N[which_N]
            time_NH = _walls(panel, time_NH, panel.wall_R[last_X] - panel.instant_R[last_X])
        out_NH[which_N] = time_NH + panel.clock_N[which_N, None].astype("timedelta64[us]")
    return out_NH


def next_times(time_T: np.ndarray, horizon: int, start: np.datetime64 | None = None) -> np.ndarray:
    """Return the next H times after `start` (by default the last one), (H,), by the pattern of a list of times.

    Raises ValueError for an empty list and a horizon below 1.
    """
    if not len(time_T) or horizon < 1:
        raise ValueError(
            f"wanted a calendar and a horizon of 1 or more, got {len(time_T)} times, {horizon} steps"
        )
    time_P = time_T.astype("datetime64[us]").astype(np.int64)
    pasts = Pasts(time_P, time_P, np.array([len(time_P)]))
    calendar, start = calendars_of(pasts)[0], time_T[-1] if start is None else start
    if calendar == OWN_TIMES:
        gap = int(pasts.usual_gap(time_P)[0][0])
        return np.asarray(start + (np.arange(1, horizon + 1) * gap).astype("timedelta64[us]"))
    clock = 0 if calendar.instants else int(clock_of(pasts)[0])
    end = last_over(calendar, clock, start.astype("datetime64[us]"))
    return calendar.times(end + np.arange(1, horizon + 1)) + np.timedelta64(clock, "us")


def _by_gap(panel: Panel, which_N: np.ndarray, last_X: np.ndarray, horizon: int) -> np.ndarray:
    """Go on by the usual gap of the past, from the first such time after the as-of date; a day of one row alone."""
    keep_R = panel.past_R & np.isin(panel.entity_R, which_N)
    count_N = panel.past_N[which_N]
    gap_X = np.full(len(which_N), DAY_US)
    some = count_N > 1
    if some.any():
        keep_R &= np.repeat(panel.past_N > 1, panel.length_N)
        wall_P = panel.wall_R[keep_R].astype(np.int64)
        gap_X[some] = np.maximum(Pasts(wall_P, wall_P, count_N[some]).usual_gap(wall_P)[0], 1)
    wall_X = panel.wall_R[last_X].astype(np.int64)
    over_X = np.zeros_like(wall_X)
    if panel.as_of is not None:
        over_X = np.maximum((panel.as_of.astype(np.int64) - wall_X) // gap_X, 0)
    step_XH = over_X[:, None] + np.arange(1, horizon + 1)
    return np.asarray((wall_X[:, None] + step_XH * gap_X[:, None]).astype("datetime64[us]"))


def _walls(panel: Panel, instant_NH: np.ndarray, offset_N: np.ndarray) -> np.ndarray:
    """Show instants by the clock of the table's zone, or by the offset of each series' last row."""
    if panel.columns.zone is None:
        return np.asarray(instant_NH + offset_N[:, None])
    return walls_of(instant_NH.ravel(), panel.columns.zone).reshape(instant_NH.shape)
