"""LUNA16's CSV files as published: annotations, annotations_excluded, seriesuids, predictions.

Centres are world millimetres, LPS (x, y, z). Columns are identified by name, in any order; further columns are
left alone. Errors name file, row and column, never a series: a UID must not reach a terminal.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.nodule.reasons import BAD_INPUT
from core.runs.files import write_csv, write_text

SERIES = "seriesuid"
CENTRE = ("coordX", "coordY", "coordZ")
DIAMETER = "diameter_mm"
PROBABILITY = "probability"


@dataclass(frozen=True, eq=False)
class Annotations:
    """Nodules, or findings excluded from scoring. diameter_K: mm, negative where nobody measured it."""

    series: tuple[str, ...]
    centre_K3: np.ndarray
    diameter_K: np.ndarray


@dataclass(frozen=True, eq=False)
class Predictions:
    """Marks of a detector. diameter_N: mm, NaN where the file has none."""

    series: tuple[str, ...]
    centre_N3: np.ndarray
    probability_N: np.ndarray
    diameter_N: np.ndarray


@dataclass(frozen=True, eq=False)
class _Table:
    """Rows of one file by column name; `numbers` are the line numbers a text editor shows."""

    path: Path
    columns: dict[str, int]
    rows: list[list[str]]
    numbers: list[int]

    def text(self, column: str) -> tuple[str, ...]:
        values = []
        for row, number in zip(self.rows, self.numbers, strict=True):
            value = self._cell(row, number, column)
            if not value:
                raise BAD_INPUT("csv_value_empty", path=self.path, row=number, column=column)
            values.append(value)
        return tuple(values)

    def numeric(self, column: str) -> np.ndarray:
        values = np.empty(len(self.rows))
        for i, (row, number) in enumerate(zip(self.rows, self.numbers, strict=True)):
            cell = self._cell(row, number, column)
            try:
                values[i] = float(cell)
            except ValueError:
                values[i] = math.nan
            if not math.isfinite(values[i]):
                raise BAD_INPUT("csv_value", path=self.path, row=number, column=column, value=_shown(cell))
        return values

    def _cell(self, row: list[str], number: int, column: str) -> str:
        index = self.columns[column]
        if index >= len(row):
            raise BAD_INPUT("csv_value_missing", path=self.path, row=number, column=column, values=len(row))
        return row[index].strip()


def read_annotations(path: Path) -> Annotations:
    """Read annotations.csv or annotations_excluded.csv: seriesuid, coordX, coordY, coordZ, diameter_mm.

    Raises InputError where the file is missing, empty, lacks a column or holds a value that is not a finite number.
    """
    table = _read_table(path, (SERIES, *CENTRE, DIAMETER))
    return Annotations(table.text(SERIES), _centres(table), table.numeric(DIAMETER))


def read_predictions(path: Path, scans: Collection[str] | None = None) -> Predictions:
    """Read a detector's marks: seriesuid, coordX, coordY, coordZ, probability and, if it is there, diameter_mm.

    A header without rows is a detector without marks. Raises InputError as `read_annotations`, and where
    `scans` is given and a mark lies on another one: such marks would silently not count.
    """
    table = _read_table(path, (SERIES, *CENTRE, PROBABILITY))
    if scans is not None:
        _check_listed(table, frozenset(scans))
    diameter_N = table.numeric(DIAMETER) if DIAMETER in table.columns else np.full(len(table.rows), np.nan)
    return Predictions(table.text(SERIES), _centres(table), table.numeric(PROBABILITY), diameter_N)


def read_seriesuids(path: Path) -> tuple[str, ...]:
    """Read the list of scans: one UID a line, no header (one named `seriesuid` is passed over).

    Raises InputError where the file is missing, empty, or names a scan twice.
    """
    seen: dict[str, int] = {}
    for number, row in _lines(path):
        uid = row[0].strip()
        if not uid:
            raise BAD_INPUT("csv_value_empty", path=path, row=number, column=SERIES)
        if uid.lower() == SERIES and not seen:
            continue
        if uid in seen:
            raise BAD_INPUT("csv_repeated_series", path=path, row=number, column=SERIES, first=seen[uid])
        seen[uid] = number
    if not seen:
        raise BAD_INPUT("csv_no_series", path=path)
    return tuple(seen)


def scan_numbers(series: Sequence[str], scans: Sequence[str]) -> np.ndarray:
    """Return the position of each series in `scans`, (N,) int64; -1 where it is not listed."""
    numbers = {uid: i for i, uid in enumerate(scans)}
    return np.array([numbers.get(uid, -1) for uid in series], dtype=np.int64)


def write_annotations(path: Path, annotations: Annotations) -> None:
    """Write annotations in LUNA16's columns; numbers keep their full precision."""
    columns = (annotations.series, *annotations.centre_K3.T.tolist(), annotations.diameter_K.tolist())
    write_csv(path, (SERIES, *CENTRE, DIAMETER), zip(*columns, strict=True))


def write_seriesuids(path: Path, series: Sequence[str]) -> None:
    """Write the list of scans, one a line, without a header."""
    write_text(path, "".join(f"{uid}\n" for uid in series))


def _check_listed(table: _Table, scans: frozenset[str]) -> None:
    stray = [n for uid, n in zip(table.text(SERIES), table.numbers, strict=True) if uid not in scans]
    if stray:
        raise BAD_INPUT("csv_unknown_series", path=table.path, row=stray[0], column=SERIES, rows=len(stray))


def _centres(table: _Table) -> np.ndarray:
    return np.stack([table.numeric(column) for column in CENTRE], axis=1)


def _read_table(path: Path, wanted: Sequence[str]) -> _Table:
    lines = _lines(path)
    if not lines:
        raise BAD_INPUT("csv_empty", path=path, columns=", ".join(wanted))
    names = [name.strip() for name in lines[0][1]]
    columns = {name: i for i, name in reversed(list(enumerate(names)))}
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise BAD_INPUT(
            "csv_column",
            path=path,
            row=lines[0][0],
            missing=", ".join(missing),
            columns=", ".join(wanted),
        )
    return _Table(path, columns, [row for _, row in lines[1:]], [number for number, _ in lines[1:]])


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, values) of each line that is not blank."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BAD_INPUT("csv_missing", path=path) from None
    except OSError as error:
        raise BAD_INPUT("csv_unreadable", path=path, why=error.strerror) from None
    except UnicodeDecodeError:
        raise BAD_INPUT("csv_encoding", path=path) from None
    reader = csv.reader(io.StringIO(text))
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise BAD_INPUT("csv_syntax", path=path, row=reader.line_num, why=error) from None


def _shown(cell: str) -> str:
    # A cell may hold anything, a patient's name too: only what resembles a misspelt number is repeated
    if not cell:
        return "nothing"
    return cell if cell.lower().lstrip("+-") in {"nan", "inf", "infinity"} else "text"
