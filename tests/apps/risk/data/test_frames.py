"""A frame becomes the table that a file would have been."""

from __future__ import annotations

import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.frames import table_of
from core.errors import InputError

COLUMNS = Columns(entity="client", time="day", targets=("gain",), statics=("branch",))


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "other": [1, 2],
            "client": [7, 8],
            "day": ["2024-01-01", "2024-01-02"],
            "gain": [0.5, 1.5],
            "branch": pd.array([3, None], dtype="Int64"),
        },
        index=[10, 20],
    )


def test_declared_columns_come_with_numbers_as_names() -> None:
    given = frame()
    table = table_of(given, COLUMNS)
    assert list(table.columns) == ["client", "day", "gain", "branch"]
    assert list(table.index) == [0, 1]
    assert table["client"].tolist() == ["7", "8"]
    assert table["branch"].tolist()[0] == "3"
    assert pd.isna(table["branch"].iloc[1])
    pd.testing.assert_frame_equal(given, frame())


def test_a_column_that_is_missing_or_doubled_is_named() -> None:
    with pytest.raises(InputError, match='has no column "gain"'):
        table_of(frame().drop(columns="gain"), COLUMNS)
    doubled = pd.concat([frame(), frame()[["gain"]]], axis=1)
    with pytest.raises(InputError, match='the table has "gain" more than once') as caught:
        table_of(doubled, COLUMNS)
    assert caught.value.code == "column_doubled"
