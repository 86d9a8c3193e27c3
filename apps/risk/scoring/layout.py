"""Columns, types and key of the scores' files, and a table brought to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from apps.risk.reasons import DEFECTS

_RESERVED = {"scoring", "as_of_time", "as_of"}  # columns that SQL adds


@dataclass(frozen=True)
class Layout:
    """Columns and types of the files, and the columns that name a row.

    schema: without the as-of time, which the folder's name gives. key: sorted by these, in this order; text,
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
            raise DEFECTS("score_layout", reserved=", ".join(sorted(_RESERVED)))
        if any(pa.types.is_floating(self.schema.field(name).type) for name in self.key):
            raise DEFECTS("score_layout_float")


def fit(chunk: pa.Table | pd.DataFrame, layout: Layout) -> pa.Table:
    """Return a chunk with the layout's columns and types, NaN as null.

    Raises InternalFault: score_columns, score_types, score_key (a missing value in the key).
    """
    schema = layout.schema.remove_metadata()
    names = list(chunk.columns) if isinstance(chunk, pd.DataFrame) else chunk.column_names
    if sorted(names) != sorted(schema.names):
        differing = ", ".join(sorted(set(names) ^ set(schema.names))) or "one is doubled"
        raise DEFECTS("score_columns", differing=differing)
    try:
        if isinstance(chunk, pd.DataFrame):
            table = pa.Table.from_pandas(chunk, schema=schema, preserve_index=False)
            table = table.replace_schema_metadata(None)
        else:
            table = chunk if chunk.schema.equals(schema) else chunk.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DEFECTS("score_types") from error
    plain = [_without_nan(column) for column in table.columns]
    table = pa.Table.from_arrays(plain, schema=schema)
    if any(table.column(name).null_count for name in layout.key):
        raise DEFECTS("score_key_missing")
    return table


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with null for NaN; the column itself where it has none."""
    if not pa.types.is_floating(column.type) or column.null_count == len(column):
        return column
    if not column.null_count and not any(np.isnan(part.to_numpy()).any() for part in column.chunks):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
