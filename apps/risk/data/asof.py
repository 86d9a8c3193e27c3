"""A table as it was known at a date: what became known later does not exist in it.

Source of the rule: bitemporal tables, valid time beside transaction time (Snodgrass 1999, Developing
Time-Oriented Database Applications in SQL, chapter 10). Legend: R rows, N entities.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.columns import OFFSET, Columns
from apps.risk.data.parse import walls_of
from apps.risk.reasons import INPUTS
from core.errors import InputError

LATE, LEAST, RECENT, FAR = 3, 3, 250, 10  # of `last_in_step`


def split_rows(
    code_R: np.ndarray,
    time_R: np.ndarray,
    known_R: np.ndarray | None,
    columns: Columns,
    as_of: np.datetime64,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are the past and which lie ahead, (R,) bool each; the others do not exist yet.

    Past: time ≤ as_of, and known ≤ as_of. Ahead: time > as_of; it exists where it was known by then, or, in a
    table without known_at, where columns are declared as known in advance and the entity has a past (that others
    will come is itself news). code_R: number of the entity, -1 where there is none. known_R: None without
    known_at; NaT counts as the row's own time. NaT in time_R is neither.
    """
    past_R, after_R = time_R <= as_of, time_R > as_of
    if known_R is not None:
        in_time_R = np.where(np.isnat(known_R), time_R, known_R) <= as_of
        return past_R & in_time_R, after_R & in_time_R
    if not columns.known:
        return past_R, np.zeros_like(after_R)
    old_N = np.zeros(int(code_R.max(initial=-1)) + 2, dtype=bool)
    old_N[code_R[past_R]] = True
    old_N[-1] = False
    return past_R, after_R & old_N[code_R]


def hidden_ahead(columns: Columns) -> tuple[str, ...]:
    """Return the columns whose values a row ahead of the as-of date does not have.

    In a table without known_at nobody can say since when an entity has its statics or group: they are hidden, too.
    """
    values = (*columns.labels, *columns.observed)
    return values if columns.known_at else (*values, *columns.words, *columns.static_numbers)


def walls(table: pd.DataFrame, columns: Columns) -> np.ndarray:
    """Return the rows' times by the wall clock, (R,) datetime64[us]; in an accepted table they stand in UTC."""
    instant_R = table[columns.time].to_numpy()
    if OFFSET not in table:
        return np.asarray(instant_R)
    return np.asarray(instant_R + table[OFFSET].to_numpy().astype("timedelta64[s]"))


def moments(table: pd.DataFrame, columns: Columns) -> np.ndarray:
    """Return what an as-of date is compared with, (R,): instants where the zone is known, else times as written."""
    return np.asarray(table[columns.time].to_numpy()) if columns.zone else walls(table, columns)


def wall_of(moment: np.datetime64, columns: Columns) -> np.datetime64:
    """Return by the wall clock what `moments` has."""
    return walls_of(np.array([moment]), columns.zone)[0] if columns.zone else moment


def view(table: pd.DataFrame, columns: Columns, as_of: np.datetime64 | None = None) -> pd.DataFrame:
    """Return the last version known at `as_of` of each (entity, time), sorted, without the known_at column.

    table: accepted by the contract. as_of: as `moments` has times; None knows everything. Rows ahead of the date
    stay where something in them is known in advance, with labels and observed values blank. Danger: without known_at,
    rows ahead that end where an entity ends (a closed account) reveal its future: give known_at, or rows to the same
    end for all.
    Raises InputError where nothing was known yet.
    """
    time_R, known_R = _keys(table, columns)
    code_R = table[columns.entity].cat.codes.to_numpy()
    ahead_R = np.zeros(len(table), dtype=bool)
    keep_R = np.ones(len(table), dtype=bool)
    if as_of is not None:
        past_R, ahead_R = split_rows(code_R, time_R, known_R, columns, as_of)
        if not past_R.any():
            raise nothing_known(as_of, time_R if known_R is None else np.fmax(time_R, known_R))
        if not columns.known:
            ahead_R[:] = False
        keep_R = past_R | ahead_R
    if known_R is not None:
        keep_R = _last_versions(keep_R, code_R, table[columns.time].to_numpy())
    names = [name for name in columns.all if name != columns.known_at]
    names += [OFFSET] if OFFSET in table else []
    if not keep_R.all():
        return _blank(table.loc[keep_R, names], ahead_R[keep_R], columns).reset_index(drop=True)
    kept = table if list(table.columns) == names else table[names]  # pandas takes its time for each step
    return _blank(kept, ahead_R, columns)


def trim(values: pd.Categorical) -> pd.Categorical:
    """Forget categories that no row has; as pandas does it, without sorting all rows."""
    used = np.zeros(len(values.categories) + 1, dtype=bool)
    used[values.codes] = True  # code -1, a missing value, marks the last position
    used = used[:-1]
    if used.all():
        return values
    position = np.append(np.cumsum(used) - 1, -1).astype(values.codes.dtype)
    return pd.Categorical.from_codes(position[values.codes], values.categories[used])


def last_in_step(time_R: np.ndarray) -> np.datetime64:
    """Return the last time that does not lie out of all proportion after the one before it, whatever the clock says.

    That is the last one, unless among the last LATE times (or 1 %, if that is more) a gap is over FAR times the longest
    of up to RECENT gaps before them: a year typed wrong, say. A closure is longer than a holiday, yet not by so much;
    times that go on for long after a gap are not doubted. time_R: one or more, none NaT; of at most three times
    nothing can be said.
    """
    time_T = np.sort(pd.unique(time_R))
    first = max(len(time_T) - max(LATE, len(time_T) // 100), LEAST)
    if first >= len(time_T):
        return np.datetime64(time_T[-1], "us")
    usual = np.diff(time_T[max(first - RECENT - 1, 0) : first]).max()
    far = np.flatnonzero(np.diff(time_T[first - 1 :]) > FAR * usual)
    return np.datetime64(time_T[first - 1 + far[0]] if len(far) else time_T[-1], "us")


def as_of_doubtful(last: np.datetime64, in_step: np.datetime64) -> InputError:
    """Return the error of a table whose last time lies far after all others."""
    return INPUTS("as_of_doubtful", last=_day(last), usual=_day(in_step))


def nothing_known(as_of: np.datetime64, since_R: np.ndarray) -> InputError:
    """Return the error of an as-of date before all data. since_R: when each row became known, one at least."""
    return INPUTS("as_of_before_data", as_of=_day(as_of), first=_day(np.fmin.reduce(since_R)))


def _day(time: np.datetime64) -> str:
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00").removesuffix(" 23:59:59.999999")


def _keys(table: pd.DataFrame, columns: Columns) -> tuple[np.ndarray, np.ndarray | None]:
    known = table[columns.known_at].to_numpy() if columns.known_at else None
    return moments(table, columns), known


def _last_versions(keep_R: np.ndarray, code_R: np.ndarray, time_R: np.ndarray) -> np.ndarray:
    """Keep, of the rows to keep, the last of each key; the table is sorted by entity, time, known_at."""
    row_K = np.flatnonzero(keep_R)
    code_K, time_K = code_R[row_K], time_R[row_K]
    last_K = np.append((code_K[1:] != code_K[:-1]) | (time_K[1:] != time_K[:-1]), True)
    last_R = np.zeros_like(keep_R)
    last_R[row_K[last_K]] = True
    return last_R


def _blank(table: pd.DataFrame, ahead_R: np.ndarray, columns: Columns) -> pd.DataFrame:
    """Blank what rows ahead may not reveal, and forget categories that no row has (they may be news)."""
    changed = {}
    hidden = hidden_ahead(columns) if ahead_R.any() else ()
    for name in (columns.entity, *columns.features, *columns.words, *columns.static_numbers):
        column = table[name].mask(ahead_R) if name in hidden else table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            trimmed = trim(column.array)
            if trimmed is not column.array or name in hidden:
                changed[name] = trimmed
        elif name in hidden:
            changed[name] = column
    return table.assign(**changed) if changed else table
