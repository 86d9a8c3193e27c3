"""A calendar on which series of several calendars can be added up, and their values summed to its steps.

The common calendar is the coarsest one, where each of its steps is a number of whole steps of all others: days make
weeks and months, all days of the week make weekdays, hours make days. Weeks make no months.
Legend: N series, R rows of the past, X rows of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from apps.risk.data.alignment import axes_of, last_over
from apps.risk.data.calendar import DAY_US, EVERY_DAY, OWN_TIMES, Calendar, Days, Even, Months, Sessions
from apps.risk.data.panel import Panel

SAME = 50  # last times that series with times of their own have in common where they share them
_MID_MONTH = (
    15  # a month's value that stands up to here is that of the days to come, later that of the days before
)


def common_of(calendars: Sequence[Calendar]) -> Calendar | None:
    """Return the coarsest of some calendars, or the days that all share; None where some steps straddle it."""
    distinct = list(dict.fromkeys(calendars))
    if len(distinct) == 1:
        return distinct[0]
    if OWN_TIMES in distinct:
        return None
    long = [one for one in distinct if _length(one) > DAY_US]
    if not long:
        return _common_days(distinct)
    coarsest = max(long, key=_length)
    return coarsest if all(_within(one, coarsest) for one in long) else None


def share_times(panel: Panel, which_N: np.ndarray) -> bool:
    """Return whether some series, (N,) bool, with times of their own have the same last SAME times."""
    ends = (panel.offset_N1[:-1] + panel.past_N)[which_N].tolist()
    counts = np.minimum(panel.past_N[which_N], SAME).tolist()
    return (
        len({panel.instant_R[end - count : end].tobytes() for end, count in zip(ends, counts, strict=True)})
        == 1
    )


def summed_to(panel: Panel, calendar: Calendar) -> Panel:
    """Return the past of a panel on a coarser calendar: targets are summed over its steps, of all else the last counts.

    A step that is not over as of the date is left out, and of each series that is summed the first one, of which a part
    may be missing. Series of the calendar itself stay as they are; a series without a whole step is left out.
    """
    same_N = np.array([axis.calendar == calendar for axis in panel.axes])[panel.axis_N]
    clock = int(panel.clock_N[same_N].max(initial=0))
    row_R = np.flatnonzero(panel.past_R)
    entity_R, wall_R = panel.entity_R[row_R], panel.wall_R[row_R]
    step_R = np.where(same_N[entity_R], panel.slot_R[row_R], _step_of(calendar, clock, wall_R))
    as_of = wall_R.max() if panel.as_of is None else panel.as_of
    within = any(
        isinstance(axis.calendar, Sessions | Even) and axis.calendar.gap < DAY_US for axis in panel.axes
    )
    end = _last_whole(calendar, clock or (DAY_US - 1 if within else 0), as_of)
    end = max(end, int(step_R[same_N[entity_R]].max(initial=end)))
    first_N = np.full(len(panel.entities), np.iinfo(np.int64).max)
    np.minimum.at(first_N, entity_R, step_R)
    keep_R = (step_R <= end) & (same_N[entity_R] | (step_R > first_N[entity_R]))
    row_R, entity_R, step_R = row_R[keep_R], entity_R[keep_R], step_R[keep_R]
    new_R = np.append(True, (np.diff(entity_R) != 0) | (np.diff(step_R) != 0))[: len(row_R)]
    first_X = np.flatnonzero(new_R)
    return _panel(
        panel, calendar, clock, end, (entity_R[first_X], step_R[first_X]), _values(panel, row_R, first_X)
    )


def _panel(
    panel: Panel,
    calendar: Calendar,
    clock: int,
    end: int,
    keys: tuple[np.ndarray, np.ndarray],
    value_XF: np.ndarray,
) -> Panel:
    entity_X, slot_X = keys
    there_N, entity_X, count_N = np.unique(entity_X, return_inverse=True, return_counts=True)
    N, everything = len(there_N), np.ones(len(slot_X), dtype=bool)
    axes, axis_N, step_X = axes_of([calendar], np.zeros(N, dtype=np.int64), slot_X, entity_X, everything)
    time_X = calendar.times(slot_X) + np.timedelta64(clock, "us")
    return replace(
        panel,
        entities=tuple(np.array(panel.entities, dtype=object)[there_N].tolist()),
        offset_N1=np.append(0, np.cumsum(count_N)),
        past_N=count_N,
        instant_R=time_X,
        wall_R=time_X,
        axes=axes,
        axis_N=axis_N,
        step_R=step_X,
        slot_R=slot_X,
        clock_N=np.full(N, clock),
        end_N=np.full(N, end),
        value_RF=value_XF,
        code_NS=panel.code_NS[there_N],
        number_NM=panel.number_NM[there_N],
        group_N=None if panel.group_N is None else panel.group_N[there_N],
    )


def _values(panel: Panel, row_R: np.ndarray, first_X: np.ndarray) -> np.ndarray:
    """Return the sums of targets and the last known values of all else, (X, F)."""
    value_XF = np.empty((len(first_X), panel.value_RF.shape[1]), dtype=panel.value_RF.dtype)
    for index, name in enumerate(panel.columns.features):
        value_R = panel.value_RF[row_R, index]
        known_R = ~np.isnan(value_R)
        last_X = np.maximum.reduceat(np.where(known_R, np.arange(len(value_R)), -1), first_X)
        result_X = value_R[last_X]
        if name in panel.columns.targets:
            result_X = np.add.reduceat(np.where(known_R, value_R, 0.0), first_X)
        value_XF[:, index] = np.where(last_X < first_X, np.nan, result_X)
    return value_XF


def _length(calendar: Calendar) -> float:
    if isinstance(calendar, Months):
        return calendar.every * 30.0 * DAY_US
    return calendar.gap if isinstance(calendar, Even | Sessions) else DAY_US


def _within(fine: Calendar, coarse: Calendar) -> bool:
    """Return whether steps of the coarse calendar, both longer than a day, are whole steps of the fine one."""
    if isinstance(fine, Months) and isinstance(coarse, Months):
        same_end = _at_end(fine) == _at_end(coarse)
        return same_end and coarse.every % fine.every == 0 and (coarse.phase - fine.phase) % fine.every == 0
    if isinstance(fine, Even) and isinstance(coarse, Even):
        return coarse.gap % fine.gap == 0 and (coarse.phase - fine.phase) % fine.gap == 0
    return False


def _common_days(calendars: Sequence[Calendar]) -> Calendar | None:
    """Return the days that are open in all calendars of days and hours; every day of hours round the clock."""
    outer = [one.days if isinstance(one, Sessions) else one for one in calendars]
    days = [one if isinstance(one, Days) else EVERY_DAY for one in outer]
    open_7 = tuple(all(one.open_7[day] for one in days) for day in range(7))
    closed = tuple(sorted({day for one in days for day in one.closed}))
    names = sorted({str(one) for one in days if one.closed})
    equal = next((one for one in days if one.open_7 == open_7 and one.closed == closed), None)
    return equal or (Days(open_7, closed, " and ".join(names)) if any(open_7) else None)


def _at_end(calendar: Months) -> bool:
    return calendar.day in (Months.LAST, Months.LAST_OPEN) or calendar.day > _MID_MONTH


def _step_of(calendar: Calendar, clock: int, wall_R: np.ndarray) -> np.ndarray:
    """Return the step to which values of finer calendars belong: the first one that ends at or after their time."""
    if clock:  # what comes after the close is of the next day
        wall_R = wall_R + np.timedelta64(DAY_US - clock - 1, "us")
    day_R = wall_R.astype("datetime64[D]")
    if isinstance(calendar, Months):
        month_R = day_R.astype("datetime64[M]").astype(np.int64) - calendar.phase
        return np.asarray(-(-month_R // calendar.every) if _at_end(calendar) else month_R // calendar.every)
    if isinstance(calendar, Even):
        us_R = day_R.astype("datetime64[us]").astype(np.int64)
        return np.asarray(-((calendar.phase - us_R) // calendar.gap))
    return calendar.steps(day_R - 1) + 1


def _last_whole(calendar: Calendar, clock: int, as_of: np.datetime64) -> int:
    """Return the last step of which all finer steps are over."""
    if not isinstance(calendar, Months):
        return last_over(calendar, clock, as_of)
    whole = replace(calendar, day=Months.LAST)
    if not _at_end(calendar):  # it ends with the last of its months
        whole = replace(whole, phase=calendar.phase + calendar.every - 1)
    return last_over(whole, clock, as_of)
