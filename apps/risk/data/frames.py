"""A table that is in memory already, brought to the form in which one that is read from a file arrives."""

from __future__ import annotations

import pandas as pd

from apps.risk.data.columns import Columns


def table_of(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return the declared columns of a data frame, rows numbered from 0; the frame itself is left as it is.

    Whole numbers that name entities, categories or groups become words, as they do when a file is read.
    Raises InputError, column_missing or column_doubled.
    """
    columns.require(frame.columns)
    columns.require_once(frame.columns, "the table")
    table = frame[list(columns.all)].reset_index(drop=True)
    for name in (columns.entity, *columns.words):
        if pd.api.types.is_integer_dtype(table[name].dtype):
            table[name] = table[name].astype("string").astype(object)
    return table
