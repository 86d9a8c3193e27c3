"""The table of a request as a data frame, as if it had been read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from apps.risk.data.columns import Columns
from apps.risk.data.frames import table_of
from apps.risk.data.sources import open_parquet_bytes, read_csv_bytes, read_parquet
from apps.risk.service.forms import CSV, ScoreRequest
from apps.risk.service.reasons import REQUEST
from core.serving.service_error import ServiceError

_NUMBER = (int, float, type(None))


@dataclass(frozen=True)
class TableLimits:
    """The most that a table may have. cells: rows times the columns that are read."""

    rows: int
    cells: int

    def check(self, rows: int, columns: Columns) -> None:
        """Raise ServiceError, table_too_large."""
        if rows > self.rows or rows * len(columns.all) > self.cells:
            raise REQUEST(
                "table_too_large",
                rows=rows,
                columns=len(columns.all),
                most_rows=self.rows,
                most_cells=self.cells,
            )


def frame_of(request: ScoreRequest, media_type: str, body: bytes, limits: TableLimits) -> pd.DataFrame:
    """Return the declared columns of a request's table. Raises InputError as `read_table`, and ServiceError."""
    columns = request.columns
    if request.table is not None:
        return _of_json(request.table, columns, limits)
    if media_type == CSV:
        frame = read_csv_bytes(body, columns)
        limits.check(len(frame), columns)
        return frame
    file = open_parquet_bytes(body)
    limits.check(file.metadata.num_rows, columns)  # a few bytes can stand for any number of rows
    return table_of(read_parquet(file, columns), columns)


def _of_json(table: Any, columns: Columns, limits: TableLimits) -> pd.DataFrame:
    lists = _by_column(table, columns)
    columns.require(lists)
    limits.check(len(lists[columns.entity]), columns)
    words = {columns.entity, columns.time, columns.known_at, *columns.words}
    cells = {name: (_words if name in words else _numbers)(name, lists[name]) for name in columns.all}
    return pd.DataFrame(cells)


def _by_column(table: Any, columns: Columns) -> dict[str, list[Any]]:
    """Return the cells of the declared columns that a table has. Raises ServiceError, table_form."""
    if isinstance(table, Mapping):
        lists = {name: table[name] for name in columns.all if name in table}
        if (
            all(isinstance(cells, list) for cells in lists.values())
            and len(set(map(len, lists.values()))) <= 1
        ):
            return lists
    elif isinstance(table, list) and all(isinstance(row, dict) for row in table):
        there = set().union(*table) if table else set(columns.all)
        return {name: [row.get(name) for row in table] for name in columns.all if name in there}
    raise REQUEST("table_form", param="table")


def _words(name: str, values: list[Any]) -> Any:
    """Return the cells of a column of words or times; numbers as they are written."""
    if all(type(value) is str for value in values):
        return pd.array(values, dtype="str")
    return pd.array([_text(name, row, value) for row, value in enumerate(values)], dtype="str")


def _numbers(name: str, values: list[Any]) -> Any:
    """Return the cells of a column of numbers: as numbers where all are, else as text, which the contract judges."""
    if all(type(value) in _NUMBER for value in values):
        try:
            return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        except OverflowError:  # a whole number beyond all that floating point has
            pass
    return pd.array([_text(name, row, value) for row, value in enumerate(values)], dtype="str")


def _text(name: str, row: int, value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if isinstance(value, (list, dict)):
        raise _cell(name, row)
    return str(value)


def _cell(name: str, row: int) -> ServiceError:
    return REQUEST("table_cell", param="table", row=row, column=name)
