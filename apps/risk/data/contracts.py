"""What a table must be: rows that break the contract are set aside with a reason, a broken table stops.

Nothing is lost: accepted, rejected and, where an as-of date is given, rows known only later add up to the input.
Legend: R rows of the input, K rows without a fault, D rows of keys that occur more than once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pandera.pandas as pandera

from apps.risk.data import parse
from apps.risk.data.asof import hidden_ahead, nothing_known, split_rows, trim
from apps.risk.data.columns import FAULT, OFFSET, Columns
from apps.risk.data.event_labels import event_numbers
from apps.risk.data.faults import Faults, nothing_left
from apps.risk.data.numerals import Numbers, numbers
from apps.risk.reasons import AWAITED, INPUTS, SERIES, note

BOUND = 1e15


@dataclass(frozen=True, eq=False)
class Checked:
    """A table judged.

    accepted: the declared columns, sorted by entity and time (and known_at): entity and statics category, times
    datetime64[us] in UTC, or as written where they have no offset (columns.OFFSET: seconds by which their clock is
    ahead of UTC), known_at as asof.moments has it, the rest float64 with NaN where nothing is known. rejected:
    faults.REJECTED; `row` counts from 0 the rows of the input that exist at the as-of date, `content` is the row as
    JSON. later: rows that become known after it. total: rows that exist at it. notes: sentences on how values were read
    that are not written plainly. A clean table is not copied: accepted may share memory with it, so copy before you
    change it.
    """

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    later: int
    total: int
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class _Rows:
    """The rows of a table, read. code_R: number in `entities`, -1 where none. known: when each became known.

    written: of each column of numbers, how it was read.
    """

    code_R: np.ndarray
    entities: list[str]
    time: parse.Times
    known: parse.Times | None
    zone: str | None
    values: dict[str, np.ndarray] = field(default_factory=dict)  # numbers, or codes of statics
    words: dict[str, list[str]] = field(default_factory=dict)  # of each static
    written: dict[str, Numbers] = field(default_factory=dict)

    @property
    def known_R(self) -> np.ndarray | None:
        return None if self.known is None else self.known.moment_R(self.zone)


def check(
    table: pd.DataFrame, columns: Columns, as_of: np.datetime64 | None = None, bound: float = BOUND
) -> Checked:
    """Judge each row of a table. bound: largest size of a plausible value.

    as_of: rows that become known later do not exist, whatever they hold, so that a rejected row depends on what
    was known only. Without it all rows count. Raises InputError for a table that lacks a column, is empty, has no
    usable row, or has none known by `as_of`.
    """
    columns.require(table.columns)
    doubled = [name for name in columns.all if list(table.columns).count(name) > 1]
    if doubled:
        raise INPUTS("column_doubled", where="the table", column=doubled[0])
    if not len(table):
        raise AWAITED("table_empty")
    faults = Faults(len(table))
    if FAULT in table:
        faults.add("row_shape", "", table[FAULT].notna().to_numpy(dtype=bool))
    rows = _read_keys(table, columns, faults)
    later_R, ahead_R = _later_and_ahead(rows, columns, as_of)
    _refuse_odd_zones(rows, columns, later_R, faults)
    _read_values(rows, table, columns, later_R, ahead_R, faults)
    _check_values(rows, columns, bound, faults)
    if as_of is not None and columns.known_at:
        for name in (*columns.labels, *columns.observed):
            faults.add("future_dated", name, ahead_R & ~np.isnan(rows.values[name]))
    accepted = _accept(rows, columns, later_R, faults)
    unread = None if columns.known_at else (ahead_R, hidden_ahead(columns))
    rejected = faults.rejected(table, columns, (rows.code_R, rows.entities), later_R, unread)
    if not len(accepted):
        raise nothing_left(rejected)
    later = int(later_R.sum())
    notes = _notes(rows, table, columns, later_R, faults)
    return Checked(accepted, rejected, later, len(table) - later, notes)


def refused_entities(checked: Checked, columns: Columns) -> dict[str, tuple[str, str]]:
    """Return entity → (code, sentence) of entities of which no row was accepted, in sorted order."""
    if not len(checked.rejected):
        return {}
    known = checked.accepted[columns.entity].cat.categories
    lost = checked.rejected.dropna(subset="entity")
    if lost.empty:  # else all entities would be looked through for nothing
        return {}
    lost = lost[~lost["entity"].isin(known)]
    return {
        str(entity): (
            "rows_rejected",
            SERIES.sentence("rows_rejected", rows=len(rows), first=rows.iloc[0]),
        )
        for entity, rows in lost.groupby("entity", sort=True)["sentence"]
    }


def _read_keys(table: pd.DataFrame, columns: Columns, faults: Faults) -> _Rows:
    code_R, entities = parse.texts(table[columns.entity])
    time = parse.times(table[columns.time], columns.zone, columns.time_format)
    known = None
    faults.add("entity_missing", columns.entity, code_R < 0)
    faults.add("time_missing", columns.time, time.empty_R)
    _refuse_times(time, columns.time, faults)
    if columns.known_at is not None:
        known = parse.times(table[columns.known_at], columns.zone, columns.time_format)
        _refuse_times(known, columns.known_at, faults)
    return _Rows(code_R, entities, time, known, columns.zone)


def _refuse_times(times: parse.Times, name: str, faults: Faults) -> None:
    faults.add("time_value", name, times.bad_R)
    faults.add("time_skipped", name, times.skipped_R)
    faults.add("time_doubled", name, times.doubled_R)


def _later_and_ahead(
    rows: _Rows, columns: Columns, as_of: np.datetime64 | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows become known later than the as-of date, and which lie ahead of it, (R,) bool each."""
    time_R, known_R = rows.time.moment_R(rows.zone), rows.known_R
    if as_of is None:
        return np.zeros(len(time_R), dtype=bool), np.zeros(len(time_R), dtype=bool)
    past_R, ahead_R = split_rows(rows.code_R, time_R, known_R, columns, as_of)
    later_R = ~past_R & ~ahead_R & ~np.isnat(time_R)
    if known_R is not None:
        later_R |= known_R > as_of
    if later_R.any() and not past_R.any():
        raise nothing_known(as_of, time_R if known_R is None else np.fmax(time_R, known_R))
    return later_R, ahead_R


def _refuse_odd_zones(rows: _Rows, columns: Columns, later_R: np.ndarray, faults: Faults) -> None:
    """Refuse times without an offset where most rows known by now have one, and the other way round.

    Two offsets are two ways to write instants, which are compared; a time without one cannot be compared with them.
    """
    for name, times in ((columns.time, rows.time), (columns.known_at, rows.known)):
        if name is not None and times is not None:
            judged_R = ~np.isnat(times.instant_R) & ~later_R
            most = times.aware_R[judged_R].sum() * 2 > judged_R.sum()
            faults.add("time_zone", name, judged_R & (times.aware_R != most))


def _read_values(
    rows: _Rows,
    table: pd.DataFrame,
    columns: Columns,
    later_R: np.ndarray,
    ahead_R: np.ndarray,
    faults: Faults,
) -> None:
    hidden = hidden_ahead(columns) if columns.known_at is None and ahead_R.any() else ()
    for name in (*columns.features, *columns.static_numbers):
        seen_R = ~(later_R | ahead_R) if name in hidden else ~later_R
        if name == columns.event:
            read = event_numbers(table[name], seen_R, columns.decimal)
        else:
            read = numbers(table[name], columns.decimal)
        if name in hidden:
            read = read.where(~ahead_R)
        faults.add("not_a_number", name, read.bad_R)
        faults.add("number_unclear", name, read.unclear_R | read.contradicted_R(seen_R))
        rows.values[name], rows.written[name] = read.value_R, read
    for name in columns.words:
        code_R, rows.words[name] = parse.texts(table[name])
        rows.values[name] = np.where(ahead_R, -1, code_R) if name in hidden else code_R


def _notes(
    rows: _Rows, table: pd.DataFrame, columns: Columns, later_R: np.ndarray, faults: Faults
) -> tuple[str, ...]:
    kept_R = (faults.number_R == 0) & ~later_R
    notes = list(table.attrs.get("notes", ()))
    for column, read in rows.written.items():
        notes += read.notes(column, table[column], kept_R)
    if columns.time_format is not None:
        for name, times in ((columns.time, rows.time), (columns.known_at, rows.known)):
            if name is not None and times is not None and (times.bad_R & ~later_R).any():
                bad, total = int((times.bad_R & ~later_R).sum()), int((~later_R).sum())
                values = {"format": columns.time_format, "count": bad, "total": total, "name": name}
                notes.append(note("time_format", **values))
    return tuple(notes)


def value_schema(columns: Columns, bound: float = BOUND) -> pandera.DataFrameSchema:
    """Return what pandera asks of the numbers of a table: their size, and 0 or 1 of an event; NaN passes."""

    def plausible(values: pd.Series) -> pd.Series | bool:
        number_R = values.to_numpy()
        if not (np.fmax.reduce(number_R) > bound or np.fmin.reduce(number_R) < -bound):
            return True  # a pass over all rows at once; which rows fail is asked only where some do
        return ~(values.abs() > bound)

    def is_event(values: pd.Series) -> pd.Series:
        return values.isin([0.0, 1.0]) | values.isna()

    size = pandera.Check(plausible, name="size", ignore_na=False)
    event = pandera.Check(is_event, name="event", ignore_na=False)
    return pandera.DataFrameSchema(
        {
            name: pandera.Column(float, [size, event] if name == columns.event else [size], nullable=True)
            for name in _number_columns(columns)
        }
    )


def _number_columns(columns: Columns) -> tuple[str, ...]:
    return (*columns.features, *columns.static_numbers)


def _is_plain(number_R: np.ndarray, bound: float, *, is_event: bool) -> bool:
    """Whether a column passes all that `value_schema` asks, seen without pandas, which costs a small table most."""
    if np.fmax.reduce(number_R) > bound or np.fmin.reduce(number_R) < -bound:
        return False
    return not is_event or bool(((number_R == 0.0) | (number_R == 1.0) | np.isnan(number_R)).all())


def _check_values(rows: _Rows, columns: Columns, bound: float, faults: Faults) -> None:
    if all(
        _is_plain(rows.values[name], bound, is_event=name == columns.event)
        for name in _number_columns(columns)
    ):
        return
    # Each check is asked by itself: a validation of the whole table would spend most of its time on a report.
    schema = value_schema(columns, bound)
    numbers = pd.DataFrame({name: rows.values[name] for name in schema.columns}, copy=False)
    for name, column in schema.columns.items():
        for rule in column.checks:
            result = rule(numbers, name)
            if result.check_passed:
                continue
            mask_R = ~np.asarray(result.check_output, dtype=bool)
            if rule.name == "event":
                faults.add("event_value", name, mask_R)
            else:
                faults.add("infinite", name, mask_R & np.isinf(rows.values[name]))
                faults.add("out_of_range", name, mask_R & np.isfinite(rows.values[name]))


def _accept(rows: _Rows, columns: Columns, later_R: np.ndarray, faults: Faults) -> pd.DataFrame:
    time_R, moment_R = rows.time.instant_R, rows.time.moment_R(rows.zone)
    known_R = None if rows.known_R is None else np.where(np.isnat(rows.known_R), moment_R, rows.known_R)
    keys = [rows.code_R, time_R] if known_R is None else [rows.code_R, time_R, known_R]
    row_K: slice | np.ndarray = slice(None)  # no copy of a clean table
    if not _is_clean(keys, later_R, faults):
        row_K = _sorted_rows(rows, columns, keys, later_R, faults)
    entity = pd.Categorical.from_codes(rows.code_R[row_K], rows.entities)
    content: dict[str, object] = {columns.entity: trim(entity), columns.time: time_R[row_K]}
    if columns.known_at is not None and known_R is not None:
        content[columns.known_at] = known_R[row_K]
    if rows.time.offset_R.any():
        content[OFFSET] = rows.time.offset_R[row_K]
    for name in (*columns.features, *columns.words, *columns.static_numbers):
        value_K = rows.values[name][row_K]
        content[name] = (
            pd.Categorical.from_codes(value_K, rows.words[name]) if name in columns.words else value_K
        )
    return pd.DataFrame(content, copy=False)


def _is_clean(keys: list[np.ndarray], later_R: np.ndarray, faults: Faults) -> bool:
    """Whether all rows are sorted, each key is there once, and nothing is to be set aside."""
    rising = np.zeros(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in reversed(keys):
        rising &= key[1:] == key[:-1]
        rising |= key[1:] > key[:-1]
    return bool(rising.all()) and not faults.number_R.any() and not later_R.any()


def _sorted_rows(
    rows: _Rows, columns: Columns, keys: list[np.ndarray], later_R: np.ndarray, faults: Faults
) -> np.ndarray:
    """Return the rows to accept in order; equal copies and contradictions are refused first."""
    row_K = np.flatnonzero((faults.number_R == 0) & ~later_R)
    row_K = row_K[np.lexsort([key[row_K] for key in reversed(keys)])]
    same_K = np.ones(max(len(row_K) - 1, 0), dtype=bool)
    for key in keys:
        same_K &= key[row_K[1:]] == key[row_K[:-1]]
    if same_K.any():
        _refuse_duplicates(rows, columns, row_K, same_K, faults)
        row_K = row_K[faults.number_R[row_K] == 0]
    return row_K


def _refuse_duplicates(
    rows: _Rows, columns: Columns, row_K: np.ndarray, same_K: np.ndarray, faults: Faults
) -> None:
    """Keep one of equal copies; refuse all rows of a key with different values: nobody can say which holds."""
    twin_K = np.append(same_K, False) | np.append(False, same_K)
    row_D = row_K[twin_K]
    run_D = np.cumsum(np.append(True, ~same_K))[twin_K]
    names = (*columns.features, *columns.words, *columns.static_numbers)
    content = pd.DataFrame({f"={name}": rows.values[name][row_D] for name in names}).assign(run=run_D)
    copy_D = content.duplicated().to_numpy()
    left_D = np.bincount(run_D[~copy_D], minlength=int(run_D.max()) + 1)[run_D]
    for code, mask_D in (("duplicate_row", copy_D), ("duplicate_key", ~copy_D & (left_D > 1))):
        mask_R = np.zeros(len(rows.code_R), dtype=bool)
        mask_R[row_D[mask_D]] = True
        faults.add(code, columns.time, mask_R)
