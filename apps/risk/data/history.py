"""Values of one column as a matrix, entities by steps, up to the as-of date.

By the steps of one calendar for models that look at many series on the same day: what assets did together stays in
one column. By each series' own last values for models that look at one series at a time.
Legend: N entities, R rows, T steps, K values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from apps.risk.data.calendar import OWN_TIMES
from apps.risk.data.panel import Panel, by_calendar
from apps.risk.reasons import INPUTS


class LastValues(NamedTuple):
    """The last known values of each series, (N, K) float64, flush right, NaN before the first; and their steps.

    slot_NK: int64, steps of the calendar's rule, which no other series changes; 0 where there is no value.
    """

    value_NK: np.ndarray
    slot_NK: np.ndarray


def history_NT(panel: Panel, label: str, longest: int) -> np.ndarray:
    """Return the calendar's last steps up to the as-of date, (N, T) float64, T ≤ longest; NaN where nothing is known.

    panel: of one calendar. The last column is the last step that any of its series has reached: a series that ended
    earlier ends in NaN. Series with times of their own have their last rows, flush right. label: a column of the
    panel. Raises InputError, no_history, where no row lies before the as-of date.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}, wanted 1 or more")
    end = steps_known(panel)
    T = min(longest, end)
    if T < 1:
        raise INPUTS("history_missing")
    row_R = np.flatnonzero(panel.past_R)
    return _matrix(panel, label, row_R, panel.step_R[row_R] - end + T, T)[0]


def histories_NT(panel: Panel, label: str) -> np.ndarray:
    """Return the whole past of series of several calendars, each by its own steps, (N, T) float64, flush right.

    Series of one calendar stand together, in the order of `by_calendar`.
    """
    parts = [
        history_NT(part, label, max(part.axis.known, 1)) for part in by_calendar(panel) if part.past_N.any()
    ]
    longest = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, ((0, 0), (longest - part.shape[1], 0)), constant_values=np.nan) for part in parts]
    )


def last_values(panel: Panel, label: str, longest: int) -> LastValues:
    """Return the last `longest` known values of each series; what other series there are changes nothing."""
    value_R = panel.value_RF[:, panel.columns.features.index(label)]
    known_R = panel.past_R & ~np.isnan(value_R)
    count_R1 = np.append(0, np.cumsum(known_R))
    after_N = count_R1[panel.offset_N1[1:]]  # known values up to the end of each series
    row_R = np.flatnonzero(known_R)
    column_R = count_R1[row_R] - after_N[panel.entity_R[row_R]] + longest
    return LastValues(*_matrix(panel, label, row_R, column_R, longest))


def since_end(panel: Panel, label: str, longest: int) -> np.ndarray:
    """Return the last `longest` steps of each series' own calendar up to the as-of date, (N, longest) float64.

    The last column is the last step that is over as of the date, whether the series has a row there or not; NaN where
    nothing is known. What other series there are changes nothing.
    """
    row_R = np.flatnonzero(panel.past_R)
    column_R = panel.slot_R[row_R] - panel.end_N[panel.entity_R[row_R]] + longest - 1
    return _matrix(panel, label, row_R, column_R, longest)[0]


def steps_known(panel: Panel) -> int:
    """Return how many steps of a panel's one calendar lie up to the as-of date.

    The same for a part of a panel, whichever rows it has.
    """
    return panel.axis.known


def first_date(panel: Panel, steps: int) -> np.datetime64:
    """Return the earliest of the times at which each calendar's last `steps` steps up to the as-of date begin."""
    ruled = [axis for axis in panel.axes if axis.known and axis.calendar != OWN_TIMES]
    starts = [axis.times_T[max(axis.known - steps, 0)] for axis in ruled]
    return np.datetime64(min(starts, default=panel.wall_R.min()), "us")


def last_date(panel: Panel) -> np.datetime64:
    """Return the last time of the past of any series."""
    return np.datetime64(panel.wall_R[panel.past_R].max(), "us")


def known_until(panel: Panel, step: int) -> Panel:
    """Return a panel of one calendar with its as-of date moved back: rows from `step` on lie ahead.

    Values of those rows stay where they are, and no model uses them (but in columns known in advance). For a table
    with restated values (known_at) make a view of the table instead: here the last version of each value is seen.
    """
    before_R = (panel.step_R < step) & panel.past_R
    past_N = np.add.reduceat(before_R.astype(np.int64), panel.offset_N1[:-1])
    known = min(step, steps_known(panel))
    end_N = panel.slot_R[panel.offset_N1[:-1] + np.maximum(past_N, 1) - 1]
    if known > 0 and not own_times(panel):
        end_N = np.full(len(end_N), panel.axis.slot_T[known - 1])
    return replace(panel, past_N=past_N, end_N=end_N, axes=(replace(panel.axis, known=known),), as_of=None)


def own_times(panel: Panel) -> bool:
    """Return whether the series of a panel of one calendar have times of their own, and no day in common."""
    return panel.axis.calendar == OWN_TIMES


def _matrix(
    panel: Panel, label: str, row_R: np.ndarray, column_R: np.ndarray, T: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put some rows into the columns they belong to, (N, T), and their steps; columns below 0 are left out."""
    row_R, column_R = row_R[column_R >= 0], column_R[column_R >= 0]
    entity_R = panel.entity_R[row_R]
    out_NT = np.full((len(panel.entities), T), np.nan)
    slot_NT = np.zeros(out_NT.shape, dtype=np.int64)
    out_NT[entity_R, column_R] = panel.value_RF[row_R, panel.columns.features.index(label)]
    slot_NT[entity_R, column_R] = panel.slot_R[row_R]
    return out_NT, slot_NT
