"""Scores of one as-of time as a folder of Parquet files: whole or not there, and the same bytes twice.

Bytes depend on rows, schema and the versions pinned in constraints.txt only. pyarrow writes one thing of itself
into each file, `created_by` ("parquet-cpp-arrow version 26.0.1"): no clock, no host. It cannot be switched off, and
readers use it to work around old writers' faults, so it stays; an upgrade of pyarrow changes it. The schemas of
Arrow and pandas, which hold versions too, are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from apps.risk.data.as_of_time import AsOf
from apps.risk.scoring.layout import Layout
from apps.risk.scoring.manifest import INDEX, PARTS, Facts, summary, write_manifest
from apps.risk.scoring.publishing import locked, publish, staging_folder, sync
from apps.risk.scoring.row_sorter import ROWS_PER_BATCH, RowSorter
from core.data.paths import encodable
from core.runs.files import write_json
from core.runs.outputs import output_error

ROWS_PER_GROUP = 1 << 16
GROUPS_PER_FILE = 16


def partition_folder(output: Path, as_of: AsOf) -> Path:
    """Return the folder of one as-of time."""
    return output / "scores" / f"as_of={as_of.label}"


class Partition:
    """The folder `scores/as_of=LABEL` while its rows are pushed.

        with Partition(output, as_of, LAYOUT) as part:
            for rows in …:
                part.add(rows)
            part.finish(facts)

    Nothing appears before `finish`: it lets the folder appear, or replace an older one, by one rename, so that a
    crash leaves the old or the new one, and of several writers one wins whole. Without `finish` nothing is left.
    Other writers wait only while one of them publishes, not while rows are computed and added.
    Raises InputError where the folder cannot be written, InternalFault for rows that break the layout.
    """

    def __init__(self, output: Path, as_of: AsOf, layout: Layout) -> None:
        self.output = output
        self.folder = partition_folder(output, as_of)
        self.layout = layout

    def __enter__(self) -> Partition:
        self._stack = ExitStack()
        scores = self.folder.parent
        try:
            scores.mkdir(parents=True, exist_ok=True)
            self._staging = self._stack.enter_context(staging_folder(scores, self.folder.name))
        except OSError as error:
            raise output_error(error, self.folder) from error
        self._sorter = RowSorter(self._staging, self.layout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, rows: pa.Table | pd.DataFrame) -> None:
        """Take rows, in any order and division; a few hundred thousand at a time are held in memory."""
        try:
            self._sorter.add(rows)
        except OSError as error:
            raise output_error(error, self.folder) from error

    def finish(self, facts: Facts) -> Path:
        """Write the files and their manifest, publish them, and return the folder.

        One that holds the same bytes already is left as it is. `manifest.json` beside `scores` then sums up all
        partitions; after a crash between the two, the next run corrects it.
        """
        try:
            self._publish(facts)
        except OSError as error:
            raise output_error(error, self.folder) from error
        return self.folder

    def _publish(self, facts: Facts) -> None:
        scores = self.folder.parent
        whole = self._staging / "whole"
        whole.mkdir()
        _write_files(whole, self.layout, self._sorter.tables())
        write_manifest(whole, facts)
        sync(whole)
        publish(whole, self.folder)
        sync(scores)
        with locked(scores):
            write_json(self._staging / INDEX, summary(scores))
            os.replace(self._staging / INDEX, self.output / INDEX)


def read_batches(folder: Path, rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a partition in their order, a batch at a time."""
    for path in sorted(folder.glob(PARTS)):
        with encodable(path) as readable, pq.ParquetFile(readable) as file:
            yield from file.iter_batches(batch_size=rows)


def _write_files(folder: Path, layout: Layout, tables: Iterator[pa.Table]) -> None:
    with encodable(folder) as writable:
        _write_groups(writable, layout, tables)


def _write_groups(folder: Path, layout: Layout, tables: Iterator[pa.Table]) -> None:
    writer: pq.ParquetWriter | None = None
    groups = 0
    schema = layout.schema.remove_metadata()
    try:
        for group in _groups(tables, schema):
            if writer is None or groups % GROUPS_PER_FILE == 0:
                if writer is not None:
                    writer.close()
                writer = _writer(folder / f"part-{groups // GROUPS_PER_FILE:05d}.parquet", schema)
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)
            groups += 1
    finally:
        if writer is not None:
            writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
        write_statistics=True,
        store_schema=False,
    )


def _groups(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the same rows in tables of ROWS_PER_GROUP, the last one shorter; one empty table where none comes."""
    held = schema.empty_table()
    first = True
    for table in tables:
        held = pa.concat_tables([held, table])
        while held.num_rows > ROWS_PER_GROUP:
            yield held.slice(0, ROWS_PER_GROUP).combine_chunks()
            held, first = held.slice(ROWS_PER_GROUP), False
    if held.num_rows or first:
        yield held.combine_chunks()
