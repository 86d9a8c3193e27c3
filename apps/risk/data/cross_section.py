"""Tables of one row for each entity: what was known of it, and beside it whether the event came some months later.

Such a row describes two times at once. The event is moved to a row of its own, at the time at which it became known, so
that an as-of date before it does not see it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import Checked
from apps.risk.reasons import INPUTS, OPTIONS


def outcomes_apart(
    checked: Checked, columns: Columns, months: int, as_of: np.datetime64 | None = None
) -> Checked:
    """Return the table with the event of each entity in a further row, `months` after the row it stood in.

    Of the last day of a month it is the last day of a month again. An event that is not known has a row, too, or the
    entity would count as one that left without it; without an as-of date only where another's is known. Raises
    ConfigError for a table without an event, InputError where an entity has several rows or rows are of several times.
    """
    if columns.event is None:
        raise OPTIONS("outcome_without_event")
    table = checked.accepted
    _require_one_time(table, columns)
    if as_of is None and not table[columns.event].notna().any():
        return checked
    at = table[columns.time]
    ends_month = at.dt.is_month_end
    when = (at + pd.DateOffset(months=months)).mask(ends_month, at + pd.offsets.MonthEnd(months))
    names = (columns.time, *([columns.known_at] if columns.known_at else []))
    later = table.assign(
        **{name: when.astype(table[name].dtype) for name in names},
        **dict.fromkeys((*columns.targets, *columns.observed, *columns.known), np.nan),
    )
    both = pd.concat([table.assign(**{columns.event: np.nan}), later])
    order = both.sort_values([columns.entity, columns.time], kind="stable").reset_index(drop=True)
    return dataclasses.replace(checked, accepted=order)


def _require_one_time(table: pd.DataFrame, columns: Columns) -> None:
    twice = table[columns.entity][table[columns.entity].duplicated()]
    if len(twice):
        raise INPUTS("not_cross_section", entity=columns.entity, name=twice.iloc[0])
    times = table[columns.time].nunique()
    if times > 1:
        raise INPUTS("not_one_time", times=times, entity=columns.entity)
