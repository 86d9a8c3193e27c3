"""Cells of JSON as a file's: numbers, words, and what is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.service.forms import JSON, Options, ScoreRequest
from apps.risk.service.tables import TableLimits, frame_of
from core.errors import InputError
from core.serving.service_error import ServiceError

COLUMNS = Columns(entity="asset", time="day", targets=("gain",), statics=("kind",))
LIMITS = TableLimits(rows=4, cells=100)


def frame(table: Any) -> pd.DataFrame:
    return frame_of(ScoreRequest(Options(), COLUMNS, table), JSON, b"", LIMITS)


def test_records_and_columns_are_the_same_table() -> None:
    rows = [
        {"asset": 1, "day": 20240101, "gain": 1, "kind": "x", "other": [1]},
        {"asset": "b", "day": "2024-01-02", "gain": None},
    ]
    table = frame(rows)
    assert table["asset"].tolist() == ["1", "b"]
    assert table["day"].tolist() == ["20240101", "2024-01-02"]
    assert table["gain"].dtype == np.float64
    assert table["kind"].isna().tolist() == [False, True]
    columns = {name: [row.get(name) for row in rows] for name in ("asset", "day", "gain", "kind")}
    pd.testing.assert_frame_equal(frame(columns), table)


def test_a_column_with_a_word_is_text_which_the_contract_judges() -> None:
    rows = [
        {"asset": "a", "day": "2024-01-01", "gain": value, "kind": "x"} for value in (0.1, "1,5", True, None)
    ]
    assert frame(rows)["gain"].tolist()[:3] == ["0.1", "1,5", "True"]
    assert frame(rows)["gain"].isna().tolist() == [False, False, False, True]
    huge = frame([{"asset": "a", "day": "2024-01-01", "gain": 10**400, "kind": "x"}])
    assert huge["gain"].tolist() == [str(10**400)]


def test_more_rows_or_cells_than_the_limit_are_refused_with_both_counts() -> None:
    with pytest.raises(ServiceError, match="has 5 rows of 4 columns: at most 4 rows and 100 cells") as caught:
        frame([{"asset": "a", "day": "d", "gain": 1.0, "kind": "x"}] * 5)
    assert caught.value.status == 413
    with pytest.raises(ServiceError, match="at most 9 rows and 3 cells"):
        TableLimits(9, 3).check(1, COLUMNS)


def test_a_missing_column_is_named_as_in_a_file() -> None:
    with pytest.raises(InputError, match='has no column "kind"'):
        frame([{"asset": "a", "day": "d", "gain": 1.0}])
