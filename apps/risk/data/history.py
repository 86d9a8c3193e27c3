"""Values of one column as a matrix, entities by steps of one calendar, up to the as-of date.

For models that look at many series on the same day: what assets did together stays in one column.
Legend: N entities, R rows, T steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.risk.data.panel import Panel
from core.errors import InputError

_OWN_CALENDAR = 4.0  # a series whose rows fill less than a quarter of its span has times of its own


def history_NT(panel: Panel, label: str, longest: int) -> np.ndarray:
    """Return the calendar's last steps up to the as-of date, (N, T) float64, T ≤ longest; NaN where nothing is known.

    The last column is the as-of date's, for all entities: a series that ended earlier ends in NaN. A series of
    another calendar (an average gap above four steps) has its own last rows instead, flush right.
    label: a column of the panel. Raises InputError, no_history, where no row lies before the as-of date.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}, wanted 1 or more")
    end = steps_known(panel)
    T = min(longest, end)
    if T < 1:
        raise InputError("no_history", "no series has a row up to the as-of date: choose a later as_of")
    row_R = np.flatnonzero(panel.past_R)
    entity_R = panel.entity_R[row_R]
    last_R = (panel.offset_N1[:-1] + panel.past_N)[entity_R]
    column_R = np.where(
        own_calendar(panel)[entity_R], row_R - last_R + T, panel.step_R[row_R].astype(np.int64) - end + T
    )
    inside_R = column_R >= 0
    out_NT = np.full((len(panel.entities), T), np.nan)
    value_R = panel.value_RF[row_R[inside_R], panel.columns.features.index(label)]
    out_NT[entity_R[inside_R], column_R[inside_R]] = value_R
    return out_NT


def steps_known(panel: Panel) -> int:
    """Return how many steps of the calendar lie up to the as-of date.

    The same for a part of a panel, whichever rows it has.
    """
    return len(panel.calendar_T) if panel.known_steps is None else panel.known_steps


def last_dates(panel: Panel, days: int) -> np.ndarray:
    """Return the times of the calendar's last steps up to the as-of date, `days` of them at most."""
    return panel.calendar_T[max(steps_known(panel) - days, 0) : steps_known(panel)]


def known_until(panel: Panel, step: int) -> Panel:
    """Return the panel with its as-of date moved back: rows from `step` of the calendar on lie ahead.

    Values of those rows stay in their place, where no model looks (but at columns known in advance). For a table
    with restated values (known_at) make a view of the table instead: here the last version of each value is seen.
    """
    before_R = (panel.step_R < step) & panel.past_R
    past_N = np.add.reduceat(before_R.astype(np.int64), panel.offset_N1[:-1])
    return replace(panel, past_N=past_N, known_steps=min(step, steps_known(panel)))


def own_calendar(panel: Panel) -> np.ndarray:
    """Return which entities have times of their own, an average gap above four steps, (N,) bool."""
    first_N, some_N = panel.offset_N1[:-1], panel.past_N > 0
    last_N = np.where(some_N, first_N + panel.past_N - 1, first_N)
    span_N = panel.step_R[last_N].astype(np.int64) - panel.step_R[first_N] + 1
    return some_N & (span_N > _OWN_CALENDAR * panel.past_N)
