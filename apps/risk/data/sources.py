"""Where a long table comes from: a CSV or Parquet file, a folder of Parquet files, or a database.

Reading is tolerant, the contract judges: cells that break a column's type come through as they were written, and
a line that cannot be split becomes an empty row with its text in the column FAULT.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq

from apps.risk.data.columns import FAULT, Columns
from apps.risk.data.csv_layout import csv_layout, not_in
from apps.risk.data.parse import MISSING_WORDS
from apps.risk.data.sql import read_sql
from apps.risk.reasons import AWAITED, INPUTS, note
from core.data.paths import encodable
from core.errors import InputError

CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
THE_BODY = "the table"  # how errors call one that is in memory


def read_table(
    source: str,
    columns: Columns,
    *,
    table: str | None = None,
    query: str | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read the declared columns of a table; row i of the result is row i of the source.

    source: path of a CSV (separated by comma, semicolon, tab or bar; .gz too) or Parquet file, folder of Parquet
    files, or URL of a database, with the name of a table or a query. encoding: of a CSV file that is neither in
    UTF-8 nor in UTF-16. The result's attrs["notes"] say what was skipped. Raises InputError where it cannot be read,
    in one line without user name or password.
    """
    if encoding is not None and not source.lower().endswith(CSV_ENDINGS):
        raise INPUTS("encoding_unread", name=Path(source).name)
    if "://" in source:
        return read_sql(source, columns, table=table, query=query)
    with encodable(Path(source)) as path:
        content = _read_file(path, source, columns, encoding)
    if content is not None:
        return content
    raise INPUTS("format_unknown", source=source, formats=", ".join((*CSV_ENDINGS[:3], *PARQUET_ENDINGS)))


def read_csv_bytes(content: bytes, columns: Columns) -> pd.DataFrame:
    """Read a CSV that is in memory as `read_table` reads one from a file. Raises InputError."""
    try:
        return _read_csv(pa.py_buffer(content), THE_BODY, columns, None)
    except (UnicodeError, pa.ArrowException) as error:
        raise _csv_error(error, THE_BODY, None) from error


def open_parquet_bytes(content: bytes) -> pq.ParquetFile:
    """Open a Parquet file that is in memory; only its metadata are read. Raises InputError, table_unreadable."""
    try:
        return pq.ParquetFile(pa.BufferReader(content))
    except (OSError, pa.ArrowException) as error:
        raise INPUTS("table_unreadable", source=THE_BODY, cause=_first_line(error)) from error


def read_parquet(file: pq.ParquetFile, columns: Columns) -> pd.DataFrame:
    """Read the declared columns of an open Parquet file. Raises InputError."""
    columns.require(file.schema_arrow.names, THE_BODY)
    columns.require_once(file.schema_arrow.names, THE_BODY)
    try:
        return _frame(file.read(columns=list(dict.fromkeys(columns.all)), use_threads=False), columns)
    except (OSError, pa.ArrowException) as error:
        raise INPUTS("table_unreadable", source=THE_BODY, cause=_first_line(error)) from error


def _read_file(path: Path, source: str, columns: Columns, encoding: str | None) -> pd.DataFrame | None:
    """Return the table of a file or folder; None where its format is not known. source: how the user names it."""
    name = path.name.lower()
    try:
        if path.is_dir() or name.endswith(PARQUET_ENDINGS):
            return _read_parquet(path, columns)
        if not path.exists():
            raise AWAITED("table_missing", source=source)
        if name.endswith(CSV_ENDINGS):
            return _read_csv(path, str(path), columns, encoding)
    except (UnicodeError, OSError, pa.ArrowException) as error:
        if name.endswith(CSV_ENDINGS):
            raise _csv_error(error, source, encoding) from error
        raise INPUTS("table_unreadable", source=source, cause=_first_line(error)) from error
    return None


def _csv_error(error: Exception, source: str, encoding: str | None) -> InputError:
    """Return the error of a CSV that pyarrow cannot read."""
    if isinstance(error, UnicodeError):
        return not_in(source, encoding or "utf-16")
    # pyarrow raises ArrowInvalid for every fault of a CSV: only its message tells the encoding from the rest
    if "invalid UTF8" in str(error):
        return not_in(source, "utf-8")
    return INPUTS("table_unreadable", source=source, cause=_first_line(error))


def _read_parquet(path: Path, columns: Columns) -> pd.DataFrame:
    if not path.exists():
        raise AWAITED("table_missing", source=path)
    if path.is_dir() and not any(file.suffix in PARQUET_ENDINGS for file in path.rglob("*")):
        raise AWAITED("folder_empty", path=path, endings=" or ".join(PARQUET_ENDINGS))
    files = sorted(str(file) for file in path.rglob("*") if file.suffix in PARQUET_ENDINGS)
    dataset = pa.dataset.dataset(
        files if path.is_dir() else str(path),
        format="parquet",
        partitioning=pa.dataset.partitioning(flavor="hive"),
    )
    columns.require(dataset.schema.names, str(path))
    return _frame(dataset.to_table(columns=list(dict.fromkeys(columns.all))), columns)


def _frame(content: pa.Table, columns: Columns) -> pd.DataFrame:
    """Return a typed table as the contract takes it."""
    for name in (columns.entity, *columns.words):
        index = content.schema.get_field_index(name)
        if pa.types.is_integer(content.schema.field(index).type):  # pandas would make floats of ids with gaps
            content = content.set_column(index, name, content[name].cast(pa.string()))
    return content.to_pandas(date_as_object=False, ignore_metadata=True)


def _read_csv(source: Path | pa.Buffer, called: str, columns: Columns, encoding: str | None) -> pd.DataFrame:
    """Read a CSV from a file or from memory. called: how errors name it."""
    layout = csv_layout(source, columns, encoding, called=called)
    names = layout.names
    columns.require(names, called)
    columns.require_once(names, called)
    if not layout.rows:
        return pd.DataFrame(columns=list(columns.all), dtype=object)
    bad: list[tuple[int, str]] = []

    def set_aside(row: pa.csv.InvalidRow) -> str:
        text = row.text.rstrip("\r\n")
        bad.append(
            (
                row.number - 1 - layout.skip,
                f"{row.actual_columns} values, wanted {row.expected_columns}: {text}",
            )
        )
        return "skip"

    as_text = [columns.entity, columns.time, columns.known_at, *columns.words]
    if columns.decimal == "comma":  # 1.234 would be taken for a number otherwise
        as_text += [*columns.features, *columns.static_numbers]
    content = pa.csv.read_csv(
        source if isinstance(source, Path) else pa.BufferReader(source),
        # one thread: only then is a line that cannot be split reported with its number
        read_options=pa.csv.ReadOptions(
            column_names=_distinct(names),
            skip_rows=layout.skip,
            use_threads=False,
            block_size=1 << 22,
            encoding=layout.encoding,
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(columns.all),
            column_types={name: pa.string() for name in as_text if name},
            null_values=list(MISSING_WORDS),
            strings_can_be_null=False,
            # a word is a word, whatever the rows below it are
            true_values=[],
            false_values=[],
        ),
    )
    frame = content.to_pandas()
    frame = _with_faults(frame, bad) if bad else frame
    if layout.above:
        frame.attrs["notes"] = (note("lines_skipped", name=Path(called).name, count=layout.above),)
    return frame


def _with_faults(frame: pd.DataFrame, bad: Sequence[tuple[int, str]]) -> pd.DataFrame:
    """Put lines that could not be split back in their rows, empty but for their text."""
    row_B = np.array([number for number, _ in bad])
    good_R = np.ones(len(frame) + len(bad), dtype=bool)
    good_R[row_B] = False
    frame.index = pd.Index(np.flatnonzero(good_R))
    whole = frame.reindex(np.arange(len(good_R)))
    text_R = np.full(len(good_R), None, dtype=object)
    text_R[row_B] = [text for _, text in bad]
    return whole.assign(**{FAULT: text_R})


def _distinct(names: Sequence[str]) -> list[str]:
    """Name further columns of one name apart; none of them is read."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}\0{seen[name]}")
    return out


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
