"""A long table as flat arrays: rows of one entity after another, with the place where each begins.

Legend: N entities, R rows, F features (labels, observed, known), T times of the calendar, S statics (categories),
M static numbers. A series may be short, have gaps, or end before the others: nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from apps.risk.data.calendar import ordinals
from apps.risk.data.columns import Columns
from core.errors import InternalFault

Categories = Mapping[str, tuple[str, ...]]  # of each static, its words; code 1 is the first
UNSEEN = 0  # code of a category that was not there in training, and of none
ALONE = -1  # number of the group of an entity that belongs to none


@dataclass(frozen=True, eq=False)
class Panel:
    """N series in one place.

    entities: their names, sorted. offset_N1: int64 (N + 1,), rows of entity i are offset[i]:offset[i + 1], by
    time. past_N: how many of them are the past of the as-of date; the rest is known in advance only. step_R:
    int32, place in calendar_T. value_RF: float64, NaN where nothing is known. code_NS: int64, UNSEEN where the
    category was not there in training. number_NM: float64, NaN where nothing is known. group_N: int64,
    entities of one number belong together, ALONE where one belongs to none; None means all alone. known_steps: steps of
    the calendar up to the as-of date; None means all.
    """

    columns: Columns
    categories: Categories
    entities: tuple[str, ...]
    offset_N1: np.ndarray
    past_N: np.ndarray
    step_R: np.ndarray
    calendar_T: np.ndarray
    value_RF: np.ndarray
    code_NS: np.ndarray
    number_NM: np.ndarray
    group_N: np.ndarray | None = None
    known_steps: int | None = None

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
        place_R = np.arange(len(self.step_R)) - np.repeat(self.offset_N1[:-1], self.length_N)
        return place_R < np.repeat(self.past_N, self.length_N)


def build_panel(
    table: pd.DataFrame,
    columns: Columns,
    as_of: np.datetime64 | None = None,
    categories: Categories | None = None,
) -> Panel:
    """Turn a view of a table (apps.risk.data.asof) into a panel.

    categories: those of the training; without them they are learned from the table. Of a static the entity's last
    known value counts. Raises InternalFault for a table that is not sorted or has a key twice.
    """
    code_R = table[columns.entity].cat.codes.to_numpy()
    time_R = table[columns.time].to_numpy()
    new_R = code_R[1:] != code_R[:-1]
    if not ((code_R[1:] > code_R[:-1]) | (~new_R & (time_R[1:] > time_R[:-1]))).all():
        raise InternalFault(
            "panel_unsorted", "the table is not sorted by entity and time, or has a key twice"
        )
    start_N = np.flatnonzero(np.append(True, new_R))
    offset_N1 = np.append(start_N, len(table))
    words = table[columns.entity].cat.categories
    value_RF = np.empty((len(table), len(columns.features)), dtype=np.float64)
    for place, name in enumerate(columns.features):
        value_RF[:, place] = table[name].to_numpy()
    step_R, calendar_T = ordinals(time_R)
    past_N = np.diff(offset_N1)
    if as_of is not None:
        past_N = np.add.reduceat((time_R <= as_of).astype(np.int64), start_N)
    if categories is None:
        categories = {name: tuple(table[name].cat.categories) for name in columns.statics}
    return Panel(
        columns=columns,
        categories=categories,
        entities=tuple(words[code_R[start_N]]),
        offset_N1=offset_N1,
        past_N=past_N,
        step_R=step_R,
        calendar_T=calendar_T,
        value_RF=value_RF,
        code_NS=_codes(table, columns, categories, start_N),
        number_NM=_numbers(table, columns, start_N),
        group_N=None if columns.group is None else _groups(table, columns.group, start_N),
        known_steps=None if as_of is None else int(np.searchsorted(calendar_T, as_of, side="right")),
    )


def take(panel: Panel, keep_N: np.ndarray) -> Panel:
    """Return the panel of some entities, (N,) bool; the calendar stays, so that places in it mean the same."""
    keep_R = np.repeat(keep_N, panel.length_N)
    return replace(
        panel,
        entities=tuple(name for name, keep in zip(panel.entities, keep_N, strict=True) if keep),
        offset_N1=np.append(0, np.cumsum(panel.length_N[keep_N])),
        past_N=panel.past_N[keep_N],
        step_R=panel.step_R[keep_R],
        value_RF=panel.value_RF[keep_R],
        code_NS=panel.code_NS[keep_N],
        number_NM=panel.number_NM[keep_N],
        group_N=None if panel.group_N is None else panel.group_N[keep_N],
    )


def part(panel: Panel, first: int, last: int) -> Panel:
    """Return entities number first … last - 1, without a copy of their rows; the calendar stays."""
    begin, end = panel.offset_N1[first], panel.offset_N1[last]
    return replace(
        panel,
        entities=panel.entities[first:last],
        offset_N1=panel.offset_N1[first : last + 1] - begin,
        past_N=panel.past_N[first:last],
        step_R=panel.step_R[begin:end],
        value_RF=panel.value_RF[begin:end],
        code_NS=panel.code_NS[first:last],
        number_NM=panel.number_NM[first:last],
        group_N=None if panel.group_N is None else panel.group_N[first:last],
    )


def fill_gaps(panel: Panel, most: float = 4.0) -> Panel:
    """Insert rows without values where a series has no row at a time of the calendar between two of its own.

    Then neighbouring rows are neighbouring times, and series can be compared time by time. most: a series that
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
    place_R = np.where(
        fill_N[entity_R],
        panel.step_R - first_N[entity_R],
        np.arange(len(entity_R)) - panel.offset_N1[entity_R],
    )
    row_R = offset_N1[entity_R] + place_R
    value_RF = np.full((offset_N1[-1], panel.value_RF.shape[1]), np.nan, dtype=np.float64)
    value_RF[row_R] = panel.value_RF
    owner_R = np.repeat(np.arange(len(length_N)), length_N)
    step_R = (first_N[owner_R] + np.arange(offset_N1[-1]) - offset_N1[owner_R]).astype(np.int32)
    step_R[row_R] = panel.step_R  # those of series that stay as they are
    last_past_N = np.maximum(panel.offset_N1[:-1] + panel.past_N - 1, 0)
    past_N = np.where(panel.past_N > 0, place_R[last_past_N] + 1, 0)
    return replace(panel, offset_N1=offset_N1, past_N=past_N, step_R=step_R, value_RF=value_RF)


def _codes(table: pd.DataFrame, columns: Columns, categories: Categories, start_N: np.ndarray) -> np.ndarray:
    code_NS = np.full((len(start_N), len(columns.statics)), UNSEEN, dtype=np.int64)
    for place, name in enumerate(columns.statics):
        number = {word: code for code, word in enumerate(categories[name], start=UNSEEN + 1)}
        word_R = table[name].cat.codes.to_numpy()
        renamed = np.array([number.get(word, UNSEEN) for word in table[name].cat.categories] + [UNSEEN])
        code_NS[:, place] = renamed[word_R[_last(word_R >= 0, start_N)]]
    return code_NS


def _numbers(table: pd.DataFrame, columns: Columns, start_N: np.ndarray) -> np.ndarray:
    number_NM = np.empty((len(start_N), len(columns.static_numbers)), dtype=np.float64)
    for place, name in enumerate(columns.static_numbers):
        number_R = table[name].to_numpy()
        number_NM[:, place] = number_R[_last(~np.isnan(number_R), start_N)]
    return number_NM


def _groups(table: pd.DataFrame, name: str, start_N: np.ndarray) -> np.ndarray:
    """Return the number of each entity's last known group, ALONE where none is known."""
    code_R = table[name].cat.codes.to_numpy().astype(np.int64)  # -1, ALONE, where there is no word
    return code_R[_last(code_R >= 0, start_N)]


def _last(known_R: np.ndarray, start_N: np.ndarray) -> np.ndarray:
    """Return the last row of each entity that is known, (N,); its first row, which is not, where none is."""
    return np.maximum(np.maximum.reduceat(np.where(known_R, np.arange(len(known_R)), -1), start_N), start_N)
