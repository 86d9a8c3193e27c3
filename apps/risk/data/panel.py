"""A long table as flat arrays: rows of one entity after another, with the position where each begins.

Legend: N entities, R rows, F features (labels, observed, known), T times of the calendar, S statics (categories),
M static numbers. A series may be short, have gaps, or end before the others: nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from apps.risk.data.alignment import Alignment, Axis, align, ends_of, listed
from apps.risk.data.asof import moments, wall_of, walls
from apps.risk.data.calendar import Days
from apps.risk.data.columns import Columns
from apps.risk.reasons import DEFECTS

Categories = Mapping[str, tuple[str, ...]]  # of each static, its words; code 1 is the first
UNSEEN = 0  # code of a category that was not there in training, and of none
ALONE = -1  # number of the group of an entity that belongs to none


@dataclass(frozen=True, eq=False)
class Panel:
    """N series in one object.

    entities: their names, sorted. offset_N1: int64 (N + 1,), rows of entity i are offset[i]:offset[i + 1], by
    time. past_N: how many of them are the past of the as-of date; the rest is known in advance only. instant_R,
    wall_R: datetime64[us], the rows' times in UTC and by the wall clock; the same of times without an offset.
    axes: each calendar's steps; axis_N: number of each entity's own. step_R: int64, step of the axis. slot_R: int64,
    step of the calendar's rule, which other series do not change; clock_N: time of the day of an entity's values, in
    microseconds; end_N: last step of the rule that is over as of the date (see `alignment`). value_RF: float64,
    NaN where nothing is known. code_NS: int64, UNSEEN where the category was not there in training. number_NM:
    float64, NaN where nothing is known. group_N: int64, entities of one number belong together, ALONE where one
    belongs to none; None means all alone. as_of: the date by the wall clock; None where all is known.
    """

    columns: Columns
    categories: Categories
    entities: tuple[str, ...]
    offset_N1: np.ndarray
    past_N: np.ndarray
    instant_R: np.ndarray
    wall_R: np.ndarray
    axes: tuple[Axis, ...]
    axis_N: np.ndarray
    step_R: np.ndarray
    slot_R: np.ndarray
    clock_N: np.ndarray
    end_N: np.ndarray
    value_RF: np.ndarray
    code_NS: np.ndarray
    number_NM: np.ndarray
    group_N: np.ndarray | None = None
    as_of: np.datetime64 | None = None

    @property
    def axis(self) -> Axis:
        """The steps of a panel of one calendar (`by_calendar`). Raises InternalFault for one of several."""
        if len(self.axes) != 1:
            raise DEFECTS("calendars_mixed", calendars=len(self.axes))
        return self.axes[0]

    @property
    def calendar_T(self) -> np.ndarray:
        """Times of the steps of its one calendar, (T,) datetime64[us]."""
        return self.axis.times_T

    @property
    def length_N(self) -> np.ndarray:
        """Rows of each entity, (N,) int64, one or more."""
        return np.diff(self.offset_N1)

    @property
    def entity_R(self) -> np.ndarray:
        """Number of the entity of each row, (R,) int64."""
        return np.repeat(np.arange(len(self.entities)), self.length_N)

    @property
    def past_R(self) -> np.ndarray:
        """Which rows are the past of the as-of date, (R,) bool."""
        index_R = np.arange(len(self.step_R)) - np.repeat(self.offset_N1[:-1], self.length_N)
        return index_R < np.repeat(self.past_N, self.length_N)


def build_panel(
    table: pd.DataFrame,
    columns: Columns,
    as_of: np.datetime64 | None = None,
    categories: Categories | None = None,
    named: Days | None = None,
) -> Panel:
    """Turn a view of a table (apps.risk.data.asof) into a panel.

    as_of: compared with apps.risk.data.asof.moments. categories: those of the training; without them they are learned
    from the table. Of a static the entity's last known value counts. named: a calendar of daily series. Each series
    has its own calendar; of a table with an event alone its times are the one calendar. Raises InternalFault for a
    table that is not sorted or has a key twice.
    """
    code_R = table[columns.entity].cat.codes.to_numpy()
    instant_R = table[columns.time].to_numpy()
    new_R = code_R[1:] != code_R[:-1]
    if not ((code_R[1:] > code_R[:-1]) | (~new_R & (instant_R[1:] > instant_R[:-1]))).all():
        raise DEFECTS("panel_unsorted")
    start_N = np.flatnonzero(np.append(True, new_R))
    offset_N1 = np.append(start_N, len(table))
    words = table[columns.entity].cat.categories
    value_RF = np.empty((len(table), len(columns.features)), dtype=np.float64)
    for number, name in enumerate(columns.features):
        value_RF[:, number] = table[name].to_numpy()
    past_N, wall_R = np.diff(offset_N1), walls(table, columns)
    if as_of is not None:
        past_N = np.add.reduceat((moments(table, columns) <= as_of).astype(np.int64), start_N)
    if columns.targets:
        alignment = align(wall_R, instant_R, offset_N1, past_N, named)
    else:
        alignment = _listed(instant_R, wall_R, offset_N1, past_N)
    if categories is None:
        categories = {name: tuple(table[name].cat.categories) for name in columns.statics}
    last_N = start_N + np.maximum(past_N, 1) - 1
    wall, offset_N = None, wall_R[last_N] - instant_R[last_N]
    if as_of is not None:
        wall = wall_of(as_of, columns)
        offset_N = offset_N if columns.zone is None else np.full(len(last_N), wall - as_of)
    return Panel(
        columns=columns,
        categories=categories,
        entities=tuple(words[code_R[start_N]]),
        offset_N1=offset_N1,
        past_N=past_N,
        instant_R=instant_R,
        wall_R=wall_R,
        axes=alignment.axes,
        axis_N=alignment.axis_N,
        step_R=alignment.step_R,
        slot_R=alignment.slot_R,
        clock_N=alignment.clock_N,
        end_N=alignment.slot_R[last_N] if wall is None else ends_of(alignment, last_N, wall, offset_N),
        value_RF=value_RF,
        code_NS=_codes(table, columns, categories, start_N),
        number_NM=_numbers(table, columns, start_N),
        group_N=None if columns.group is None else _groups(table, columns.group, start_N),
        as_of=wall,
    )


def on_table_times(panel: Panel) -> Panel:
    """Return the panel with all times of the table as its one calendar: that of an event, which all entities share."""
    if panel.axes[0].calendar is None:
        return panel
    alignment = _listed(panel.instant_R, panel.wall_R, panel.offset_N1, panel.past_N)
    return replace(
        panel,
        axes=alignment.axes,
        axis_N=alignment.axis_N,
        step_R=alignment.step_R,
        slot_R=alignment.slot_R,
        clock_N=alignment.clock_N,
        end_N=np.full(len(panel.entities), alignment.axes[0].known - 1),
    )


def by_calendar(panel: Panel) -> list[Panel]:
    """Return the panel in parts of one calendar each, in the order of `axes`; those without an entity are left out."""
    if len(panel.axes) == 1:
        return [panel]
    out = []
    for number, axis in enumerate(panel.axes):
        which_N = panel.axis_N == number
        if which_N.any():
            some = take(panel, which_N)
            out.append(replace(some, axes=(axis,), axis_N=np.zeros_like(some.axis_N)))
    return out


def _listed(
    instant_R: np.ndarray, wall_R: np.ndarray, offset_N1: np.ndarray, past_N: np.ndarray
) -> Alignment:
    length_N = np.diff(offset_N1)
    past_R = np.arange(len(wall_R)) - np.repeat(offset_N1[:-1], length_N) < np.repeat(past_N, length_N)
    return listed(instant_R, wall_R, past_R, len(past_N))


def take(panel: Panel, keep_N: np.ndarray) -> Panel:
    """Return the panel of some entities, (N,) bool; calendars stay, so that steps mean the same."""
    keep_R = np.repeat(keep_N, panel.length_N)
    return replace(
        panel,
        entities=tuple(name for name, keep in zip(panel.entities, keep_N, strict=True) if keep),
        offset_N1=np.append(0, np.cumsum(panel.length_N[keep_N])),
        past_N=panel.past_N[keep_N],
        instant_R=panel.instant_R[keep_R],
        wall_R=panel.wall_R[keep_R],
        axis_N=panel.axis_N[keep_N],
        step_R=panel.step_R[keep_R],
        slot_R=panel.slot_R[keep_R],
        clock_N=panel.clock_N[keep_N],
        end_N=panel.end_N[keep_N],
        value_RF=panel.value_RF[keep_R],
        code_NS=panel.code_NS[keep_N],
        number_NM=panel.number_NM[keep_N],
        group_N=None if panel.group_N is None else panel.group_N[keep_N],
    )


def part(panel: Panel, first: int, last: int) -> Panel:
    """Return entities number first … last - 1, without a copy of their rows; calendars stay."""
    begin, end = panel.offset_N1[first], panel.offset_N1[last]
    return replace(
        panel,
        entities=panel.entities[first:last],
        offset_N1=panel.offset_N1[first : last + 1] - begin,
        past_N=panel.past_N[first:last],
        instant_R=panel.instant_R[begin:end],
        wall_R=panel.wall_R[begin:end],
        axis_N=panel.axis_N[first:last],
        step_R=panel.step_R[begin:end],
        slot_R=panel.slot_R[begin:end],
        clock_N=panel.clock_N[first:last],
        end_N=panel.end_N[first:last],
        value_RF=panel.value_RF[begin:end],
        code_NS=panel.code_NS[first:last],
        number_NM=panel.number_NM[first:last],
        group_N=None if panel.group_N is None else panel.group_N[first:last],
    )


def fill_gaps(panel: Panel, most: float = 4.0) -> Panel:
    """Insert rows without values where a series has no row at a time of the calendar between two of its own.

    Inserted rows have no time, NaT. Then neighbouring rows are neighbouring steps. most: a series that
    would grow by more than this factor keeps its rows as they are, since its own times are another calendar.
    """
    first_N, last_N = panel.step_R[panel.offset_N1[:-1]], panel.step_R[panel.offset_N1[1:] - 1]
    span_N = (last_N - first_N).astype(np.int64) + 1
    fill_N = span_N <= most * panel.length_N
    length_N = np.where(fill_N, span_N, panel.length_N)
    if np.array_equal(length_N, panel.length_N):
        return panel
    offset_N1 = np.append(0, np.cumsum(length_N))
    entity_R = panel.entity_R
    index_R = np.where(
        fill_N[entity_R],
        panel.step_R - first_N[entity_R],
        np.arange(len(entity_R)) - panel.offset_N1[entity_R],
    )
    row_R = offset_N1[entity_R] + index_R
    value_RF = np.full((offset_N1[-1], panel.value_RF.shape[1]), np.nan, dtype=np.float64)
    value_RF[row_R] = panel.value_RF
    owner_R = np.repeat(np.arange(len(length_N)), length_N)
    step_R = first_N[owner_R] + np.arange(offset_N1[-1]) - offset_N1[owner_R]
    step_R[row_R] = panel.step_R  # those of series that stay as they are
    slot_R = np.empty_like(step_R)
    for number, axis in enumerate(panel.axes):
        of_axis_R = panel.axis_N[owner_R] == number
        slot_R[of_axis_R] = np.asarray(axis.slot_T)[step_R[of_axis_R]]
    instant_R, wall_R = np.full((2, len(step_R)), np.datetime64("NaT", "us"))
    instant_R[row_R], wall_R[row_R] = panel.instant_R, panel.wall_R
    last_past_N = np.maximum(panel.offset_N1[:-1] + panel.past_N - 1, 0)
    past_N = np.where(panel.past_N > 0, index_R[last_past_N] + 1, 0)
    return replace(
        panel,
        offset_N1=offset_N1,
        past_N=past_N,
        instant_R=instant_R,
        wall_R=wall_R,
        step_R=step_R,
        slot_R=slot_R,
        value_RF=value_RF,
    )


def _codes(table: pd.DataFrame, columns: Columns, categories: Categories, start_N: np.ndarray) -> np.ndarray:
    code_NS = np.full((len(start_N), len(columns.statics)), UNSEEN, dtype=np.int64)
    for static, name in enumerate(columns.statics):
        number = {word: code for code, word in enumerate(categories[name], start=UNSEEN + 1)}
        word_R = table[name].cat.codes.to_numpy()
        renamed = np.array([number.get(word, UNSEEN) for word in table[name].cat.categories] + [UNSEEN])
        code_NS[:, static] = renamed[word_R[_last(word_R >= 0, start_N)]]
    return code_NS


def _numbers(table: pd.DataFrame, columns: Columns, start_N: np.ndarray) -> np.ndarray:
    number_NM = np.empty((len(start_N), len(columns.static_numbers)), dtype=np.float64)
    for static, name in enumerate(columns.static_numbers):
        number_R = table[name].to_numpy()
        number_NM[:, static] = number_R[_last(~np.isnan(number_R), start_N)]
    return number_NM


def _groups(table: pd.DataFrame, name: str, start_N: np.ndarray) -> np.ndarray:
    """Return the number of each entity's last known group, ALONE where none is known."""
    code_R = table[name].cat.codes.to_numpy().astype(np.int64)  # -1, ALONE, where there is no word
    return code_R[_last(code_R >= 0, start_N)]


def _last(known_R: np.ndarray, start_N: np.ndarray) -> np.ndarray:
    """Return the last row of each entity that is known, (N,); its first row, which is not, where none is."""
    return np.maximum(np.maximum.reduceat(np.where(known_R, np.arange(len(known_R)), -1), start_N), start_N)
