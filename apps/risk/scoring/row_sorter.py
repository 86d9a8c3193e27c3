"""Rows in the order of their key, in bounded memory (external merge sort): sorted runs on the disk, then merged."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from apps.risk.reasons import DEFECTS
from apps.risk.scoring.layout import Layout, fit

ROWS_PER_RUN = 1 << 18  # rows held in memory before they are sorted and put on the disk
ROWS_PER_BATCH = 1 << 13  # rows of each sorted run held in memory while the runs are merged


class RowSorter:
    """Rows added in any order and division, read back once in the order of the layout's key.

    folder: where sorted runs are kept; the caller removes it. `ROWS_PER_RUN` rows, and what one call adds, are held
    in memory.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._order = [(name, "ascending") for name in layout.key]
        self._held: list[pa.Table] = []
        self._runs: list[Path] = []

    def add(self, rows: pa.Table | pd.DataFrame) -> None:
        """Take rows. Raises InternalFault where they break the layout, OSError where the disk is full."""
        self._held.append(fit(rows, self.layout))
        if sum(table.num_rows for table in self._held) >= ROWS_PER_RUN:
            self._spill()

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows in order. Raises InternalFault, score_key, where two have the same key."""
        return _unique(self._sorted(), self.layout.key)

    def _sorted(self) -> Iterator[pa.Table]:
        if not self._runs:
            yield self._take()
            return
        self._spill()
        with _opened(self._runs) as readers:
            yield from _merge(readers, self.layout.key, self._order)

    def _take(self) -> pa.Table:
        table = pa.concat_tables(self._held).sort_by(self._order) if self._held else self._empty()
        self._held = []
        return table

    def _empty(self) -> pa.Table:
        return self.layout.schema.empty_table()

    def _spill(self) -> None:
        path = self.folder / f"run-{len(self._runs)}"
        self._runs.append(write_run(path, self._take()))


def write_run(path: Path, table: pa.Table) -> Path:
    """Write sorted rows as an Arrow stream and return its path."""
    with pa.OSFile(os.fsencode(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=ROWS_PER_BATCH)
    return path


@contextmanager
def _opened(runs: list[Path]) -> Iterator[list[Iterator[pa.RecordBatch]]]:
    files = [pa.OSFile(os.fsencode(path), "rb") for path in runs]
    try:
        yield [iter(pa.ipc.open_stream(file)) for file in files]
    finally:
        for file in files:
            file.close()


def _merge(
    readers: list[Iterator[pa.RecordBatch]], key: tuple[str, ...], order: list[tuple[str, str]]
) -> Iterator[pa.Table]:
    """Yield tables in order: of each run's batch what comes up to the first end of any batch, then read on."""
    heads: list[pa.RecordBatch | None] = [None] * len(readers)
    while True:
        for number, head in enumerate(heads):
            if head is None or head.num_rows == 0:
                heads[number] = next(readers[number], None)
        live = {number: head for number, head in enumerate(heads) if head is not None and head.num_rows}
        if not live:
            return
        end = min(_key(head, key, head.num_rows - 1) for head in live.values())
        pieces = []
        for number, head in live.items():
            cut = bisect_right(range(head.num_rows), end, key=partial(_key, head, key))
            pieces.append(head.slice(0, cut))
            heads[number] = head.slice(cut)
        yield pa.Table.from_batches(pieces).sort_by(order)


def _key(rows: pa.RecordBatch | pa.Table, key: tuple[str, ...], row: int) -> tuple[Any, ...]:
    return tuple(rows.column(name)[row].as_py() for name in key)


def _unique(tables: Iterator[pa.Table], key: tuple[str, ...]) -> Iterator[pa.Table]:
    last: tuple[Any, ...] | None = None
    for table in tables:
        if table.num_rows:
            same = pa.scalar(value=True)
            for name in key:
                column = table.column(name)
                same = pc.and_(same, pc.equal(column.slice(1), column.slice(0, table.num_rows - 1)))
            if _key(table, key, 0) == last or (table.num_rows > 1 and pc.any(same).as_py()):
                raise DEFECTS("score_key_doubled")
            last = _key(table, key, table.num_rows - 1)
        yield table
