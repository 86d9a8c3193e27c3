"""The table of refused rows: order, first fault, what was written, and the error of a table with nothing left."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from apps.risk.data.columns import FAULT, Columns
from apps.risk.data.faults import REJECTED, Faults, nothing_left
from core.errors import ExitCode


def _mask(*rows: int) -> np.ndarray:
    mask = np.zeros(4, dtype=bool)
    mask[list(rows)] = True
    return mask


TABLE = pd.DataFrame(
    {
        "entity": ["a", None, "b", "ü"],
        "time": pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04"]),
        "target": [1.5, np.nan, np.inf, 1e18],
        FAULT: [None, "2 values, wanted 3: x;y", None, None],
        "unused": [1, 2, 3, 4],
    }
)


ENTITY = (np.array([0, -1, 1, 2]), ["a", "b", "ü"])


def test_the_first_fault_of_a_row_counts() -> None:
    faults = Faults(4)
    faults.add("row_shape", "", _mask(1))
    faults.add("entity_missing", "entity", _mask())
    faults.add("infinite", "target", _mask(1, 2))
    assert faults.number_R.tolist() == [0, 1, 2, 0]
    assert faults.causes == [("", ""), ("row_shape", ""), ("infinite", "target")]


def test_refused_rows_hold_what_was_written() -> None:
    faults = Faults(4)
    faults.add("infinite", "target", _mask(2))
    faults.add("row_shape", "", _mask(1))
    faults.add("out_of_range", "target", _mask(0, 3))
    rejected = faults.rejected(TABLE, Columns(), ENTITY, _mask(0, 3))
    assert tuple(rejected.columns) == REJECTED
    assert rejected["row"].tolist() == [0, 1]  # the row that does not exist yet is not counted
    assert rejected["code"].tolist() == ["row_shape", "infinite"]
    assert rejected["column"].tolist() == ["", "target"]
    assert rejected["sentence"][1] == "target is infinite: leave it empty where it is not known"
    assert rejected["entity"].isna().tolist() == [True, False]
    assert json.loads(rejected["content"][0]) == {
        "entity": None,
        "time": None,
        "target": None,
        FAULT: "2 values, wanted 3: x;y",
    }
    assert json.loads(rejected["content"][1])["target"] == "inf"


def test_what_is_not_known_yet_is_left_out_of_the_content() -> None:
    faults = Faults(4)
    faults.add("infinite", "target", _mask(2, 3))
    rejected = faults.rejected(TABLE, Columns(), ENTITY, _mask(), (_mask(3), {"target"}))
    contents = [json.loads(content) for content in rejected["content"]]
    assert ["target" in content for content in contents] == [True, False]
    assert contents[1]["entity"] == "ü"


def test_no_refused_row_leaves_an_empty_table_of_the_same_types() -> None:
    empty = Faults(4).rejected(TABLE, Columns(), ENTITY, _mask())
    assert tuple(empty.columns) == REJECTED
    assert len(empty) == 0
    assert [str(dtype) for dtype in empty.dtypes] == ["int64", "str", "str", "str", "str", "str"]


def test_nothing_left_counts_by_reason_and_shows_the_first() -> None:
    faults = Faults(4)
    faults.add("entity_missing", "entity", _mask(1))
    faults.add("infinite", "target", _mask(0, 2, 3))
    error = nothing_left(faults.rejected(TABLE, Columns(), ENTITY, _mask()))
    assert error.exit_code == ExitCode.BAD_INPUT
    assert error.code == "nothing_left"
    assert error.sentence == (
        "no row can be used (infinite 3, entity_missing 1); the first, row 0: "
        "target is infinite: leave it empty where it is not known"
    )
