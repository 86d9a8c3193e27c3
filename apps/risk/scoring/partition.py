"""Scores of one as-of time as a folder of Parquet files: whole or not there, and the same bytes twice.

Bytes depend on rows, schema and the versions pinned in constraints.txt only. pyarrow writes one thing of itself
into each file, `created_by` ("parquet-cpp-arrow version 26.0.1"): no clock, no host. It cannot be switched off, and
readers use it to work around old writers' faults, so it stays; an upgrade of pyarrow changes it. The schemas of
Arrow and pandas, which hold versions too, are left out.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import filecmp
import os
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apps.risk.data.as_of_time import AsOf
from apps.risk.scoring.manifest import INDEX, PARTS, Facts, summary, write_manifest
from core.data.paths import encodable
from core.errors import InternalFault, output_error
from core.runs.files import write_json

ROWS_PER_GROUP = 1 << 16
GROUPS_PER_FILE = 16
_ROWS_PER_RUN = 1 << 18  # rows held in memory before they are sorted and put on the disk
_ROWS_PER_BATCH = 1 << 13  # rows of each sorted run held in memory while the runs are merged
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_RESERVED = {"scoring", "as_of_time", "as_of"}  # columns that SQL adds
_STAGED = ".part"
_ASIDE = ".old"


@dataclass(frozen=True)
class Layout:
    """Columns and types of the files, and the columns that name a row.

    schema: without the as-of time, which the folder's name tells. key: sorted by these, in this order; text,
    whole numbers or dates, no value missing, no two rows the same. scope: columns, never missing, that say whose
    rows they are: in a table that several scorings share a run replaces its own. A missing number is null (NaN
    becomes null).
    """

    schema: pa.Schema
    key: tuple[str, ...]
    scope: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = set(self.schema.names)
        if not self.key or not {*self.key, *self.scope} <= names or names & _RESERVED:
            raise InternalFault(
                "score_layout", f"the key must name columns, and {', '.join(sorted(_RESERVED))} may be none"
            )
        if any(pa.types.is_floating(self.schema.field(name).type) for name in self.key):
            raise InternalFault("score_layout", "the key may hold no floating-point number")


def partition_folder(output: Path, as_of: AsOf) -> Path:
    """Return the folder of one as-of time."""
    return output / "scores" / f"as_of={as_of.label}"


def write_partition(
    output: Path,
    as_of: AsOf,
    layout: Layout,
    chunks: Iterable[pa.Table | pd.DataFrame],
    describe: Callable[[], Facts],
) -> Path:
    """Write `scores/as_of=LABEL/part-00000.parquet` … with its manifest, and return that folder.

    chunks: rows in any order and division; a few hundred thousand at a time are held in memory. describe: called
    when all chunks are written. The folder appears, or replaces an older one, by one rename: a crash leaves the
    old or the new one, of several writers one wins whole. One that holds the same bytes already is left as it is.
    `manifest.json` beside `scores` then sums up all partitions; after a crash between the two, the next run mends it.
    Raises InputError where the place cannot be written, InternalFault for rows that break the layout.
    """
    target = partition_folder(output, as_of)
    scores = target.parent
    try:
        scores.mkdir(parents=True, exist_ok=True)
        with _staging(scores, target.name) as staging:
            whole = staging / "whole"
            whole.mkdir()
            _write_files(whole, layout, _sorted(staging, layout, chunks))
            write_manifest(whole, describe())
            _sync(whole)
            _publish(whole, target)
            _sync(scores)
            with _locked(scores):
                write_json(staging / INDEX, summary(scores))
                os.replace(staging / INDEX, output / INDEX)
    except OSError as error:
        raise output_error(error, target) from error
    return target


def read_batches(folder: Path, rows: int = _ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a partition in their order, a batch at a time."""
    for path in sorted(folder.glob(PARTS)):
        with encodable(path) as readable, pq.ParquetFile(readable) as file:
            yield from file.iter_batches(batch_size=rows)


def _fit(chunk: pa.Table | pd.DataFrame, layout: Layout) -> pa.Table:
    """Return a chunk with the layout's columns and types, NaN as null."""
    schema = layout.schema.remove_metadata()
    names = list(chunk.columns) if isinstance(chunk, pd.DataFrame) else chunk.column_names
    if sorted(names) != sorted(schema.names):
        told = ", ".join(sorted(set(names) ^ set(schema.names))) or "one is doubled"
        raise InternalFault("score_columns", f"the columns of the scores are not those of the layout: {told}")
    try:
        if isinstance(chunk, pd.DataFrame):
            table = pa.Table.from_pandas(chunk, schema=schema, preserve_index=False)
            table = table.replace_schema_metadata(None)
        else:
            table = chunk.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InternalFault("score_types", "the scores do not have the types of the layout") from error
    for number, field in enumerate(schema):
        if pa.types.is_floating(field.type):
            column = table.column(number)
            plain = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            table = table.set_column(number, field, plain)
    if any(table.column(name).null_count for name in layout.key):
        raise InternalFault("score_key", "a row of the scores has no value in its key")
    return table


def _sorted(staging: Path, layout: Layout, chunks: Iterable[pa.Table | pd.DataFrame]) -> Iterator[pa.Table]:
    """Yield all rows in the order of their key: sorted runs, on the disk where there are several, then merged."""
    order = [(name, "ascending") for name in layout.key]
    held: list[pa.Table] = []
    runs: list[Path] = []
    for chunk in chunks:
        held.append(_fit(chunk, layout))
        if sum(table.num_rows for table in held) >= _ROWS_PER_RUN:
            runs.append(_spill(staging / f"run-{len(runs)}", pa.concat_tables(held).sort_by(order)))
            held = []
    last = pa.concat_tables(held).sort_by(order) if held else layout.schema.empty_table()
    if not runs:
        yield last
        return
    runs.append(_spill(staging / f"run-{len(runs)}", last))
    del held, last
    with _opened(runs) as readers:
        yield from _merge(readers, layout.key, order)


def _spill(path: Path, table: pa.Table) -> Path:
    with pa.OSFile(os.fsencode(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=_ROWS_PER_BATCH)
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


def _write_files(folder: Path, layout: Layout, tables: Iterator[pa.Table]) -> None:
    with encodable(folder) as writable:
        _write_groups(writable, layout, tables)


def _write_groups(folder: Path, layout: Layout, tables: Iterator[pa.Table]) -> None:
    writer: pq.ParquetWriter | None = None
    groups = 0
    schema = layout.schema.remove_metadata()
    try:
        for group in _groups(_unique(tables, layout.key), schema):
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


def _unique(tables: Iterator[pa.Table], key: tuple[str, ...]) -> Iterator[pa.Table]:
    last: tuple[Any, ...] | None = None
    for table in tables:
        if table.num_rows:
            same = pa.scalar(value=True)
            for name in key:
                column = table.column(name)
                same = pc.and_(same, pc.equal(column.slice(1), column.slice(0, table.num_rows - 1)))
            if _key(table, key, 0) == last or (table.num_rows > 1 and pc.any(same).as_py()):
                raise InternalFault("score_key", "two rows of the scores have the same key")
            last = _key(table, key, table.num_rows - 1)
        yield table


@contextmanager
def _locked(folder: Path, flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, flags)
        yield
    finally:
        os.close(handle)


@contextmanager
def _staging(scores: Path, name: str) -> Iterator[Path]:
    """Make a hidden folder beside the target, locked as long as its writer lives, and remove it at the end."""
    with _locked(scores):
        _clean(scores)
        folder = Path(tempfile.mkdtemp(dir=scores, prefix=f".{name}.", suffix=_STAGED))
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _clean(scores: Path) -> None:
    """Finish what dead writers left: put back a partition that was set aside, remove folders nobody works in."""
    for path in scores.glob(f".as_of=*{_ASIDE}"):
        target = scores / path.name.removeprefix(".").removesuffix(_ASIDE)
        if target.exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.rename(path, target)
    for path in scores.glob(f".as_of=*{_STAGED}"):
        try:
            with _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # its writer is at work, or has just ended


def _publish(whole: Path, target: Path) -> None:
    while True:
        try:
            os.rename(whole, target)  # where there is no older one
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _same(whole, target):
            return
        try:
            _exchange(whole, target)
            return
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
        if _replace_in_two_steps(whole, target):
            return


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change their names in one step (renameat2, Linux 3.15)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if rename is not None:
        names = os.fsencode(one), os.fsencode(other)
        if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), str(other))


def _replace_in_two_steps(whole: Path, target: Path) -> bool:
    """Replace where a file system (NFS) cannot exchange; after a crash in between the next writer puts it back."""
    with _locked(target.parent):
        aside = target.with_name(f".{target.name}{_ASIDE}")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(target, aside)
        try:
            os.rename(whole, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False  # another writer was quicker
        shutil.rmtree(aside, ignore_errors=True)
        return True


def _same(one: Path, other: Path) -> bool:
    try:
        names = sorted(os.listdir(one))
        if names != sorted(os.listdir(other)):
            return False
        return filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    """Bring a folder and the files in it to the disk."""
    for path in [*(path for path in folder.iterdir() if path.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
