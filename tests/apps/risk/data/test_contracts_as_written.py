"""What the contract makes of cells that are not written plainly, as of a date: rows to come change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import Checked, check
from core.errors import ConfigError

COLUMNS = Columns(targets=("ret",))


def seen(cells: list[Any], day: int | None = None, columns: Columns = COLUMNS) -> Checked:
    """Judge one value a day of January 2024 as of a day of it."""
    days = [f"2024-01-{number:02d}" for number in range(1, len(cells) + 1)]
    labels = {name: pd.Series(cells, dtype=object) for name in columns.labels}
    table = pd.DataFrame({"entity": "A", "time": days, **labels})
    return check(table, columns, None if day is None else np.datetime64(f"2024-01-{day:02d}", "us"))


def test_a_point_is_set_aside_once_decimal_commas_are_there_and_not_before() -> None:
    cells = ["1.234", "0.5", "2,75"]
    assert seen(cells, day=2).accepted["ret"].tolist() == [1.234, 0.5]
    assert seen(cells, day=2).notes == ()
    later = seen(cells, day=3)
    assert later.accepted["ret"].tolist() == [0.5, 2.75]
    assert later.rejected["code"].tolist() == ["number_unclear"]
    assert "data.decimal=point or data.decimal=comma" in later.rejected["sentence"][0]


def test_the_mark_that_is_named_reads_all() -> None:
    comma = replace(COLUMNS, decimal="comma")
    assert seen(["1.234", "0,5", "2,75"], columns=comma).accepted["ret"].tolist() == [1234.0, 0.5, 2.75]
    with pytest.raises(ConfigError, match="decimal=, is not a valid decimal mark: wanted point or comma"):
        replace(COLUMNS, decimal=",")


def test_labels_of_minus_one_are_read_until_a_nought_is_there() -> None:
    columns = Columns(targets=(), event="default")
    cells = [1, -1, -1, 0]
    early = seen(cells, 3, columns)
    assert early.accepted["default"].tolist() == [1.0, 0.0, 0.0]
    assert early.notes == ("2 of 3 values of default are -1, and read as 0 (the event did not happen)",)
    late = seen(cells, 4, columns)
    assert late.accepted["default"].tolist() == [1.0, 0.0]
    assert late.rejected["code"].tolist() == ["event_value"] * 2


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), (True, False)])
def test_words_are_labels_of_an_event_and_no_numbers(words: tuple[Any, Any]) -> None:
    assert seen(list(words), columns=Columns(targets=(), event="default")).accepted["default"].tolist() == [
        1.0,
        0.0,
    ]
    if isinstance(words[0], str):
        assert set(seen([*words, 1.0]).rejected["code"]) == {"not_a_number"}


def test_a_format_that_reads_some_times_and_not_others_is_doubted() -> None:
    columns = replace(COLUMNS, time_format="%d/%m/%Y")
    days = ["01/02/2024", "01/13/2024", "01/04/2024"]  # months first
    table = pd.DataFrame({"entity": "A", "time": days, "ret": [1.0, 2.0, 3.0]})
    checked = check(table, columns)
    assert checked.rejected["code"].tolist() == ["time_value"]
    (note,) = checked.notes
    assert note.startswith(
        "data.time_format=%d/%m/%Y does not read 1 of 3 times of time: those that it reads may be"
    )
    assert check(table.assign(time=["01/02/2024", "02/02/2024", ""]), columns).notes == ()
