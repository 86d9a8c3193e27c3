"""Rows that were set aside: counted, listed, and too many of them stop the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import Checked, check
from apps.risk.data.set_aside import ROWS, report_rejected, set_aside_part, set_aside_path, write_set_aside
from core.errors import InputError
from core.runs.folder import Run, open_run

COLUMNS = Columns(targets=("ret",))


def checked(returns: list[Any], copies: int = 0) -> Checked:
    days = pd.bdate_range("2024-01-01", periods=len(returns))
    table = pd.DataFrame({"entity": "A", "time": days, "ret": pd.Series(returns, dtype=object)})
    return check(pd.concat([table, table.head(copies)], ignore_index=True), COLUMNS)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    opened = open_run("risk", "score", str(tmp_path / "run"), "", 0)
    with opened.log:
        yield opened


def log_of(run: Run) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in run.log.path.read_text().splitlines()]
    return [line for line in lines if line["event"] == "rows_set_aside"]


def test_a_table_that_is_all_used_is_not_spoken_of(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    report_rejected(checked([1.0, 2.0]), COLUMNS, 0.0, run)
    assert capfd.readouterr() == ("", "")
    assert not set_aside_path(run.path, ROWS).exists()
    assert log_of(run) == []


def test_rows_set_aside_are_said_in_one_line_logged_and_listed(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    report_rejected(checked(["x", "1,234", "y", *range(7)]), COLUMNS, 0.3, run)
    assert capfd.readouterr().err == (
        "note: 3 of 10 rows were set aside, 2 of them because ret is not a valid number: wanted one such as 1234.5, or "
        f"nothing where it is not known (not_a_number); all are listed in {set_aside_path(run.path, ROWS)}\n"
    )
    assert [(line["count"], line["items"], line["code"]) for line in log_of(run)] == [(3, 10, "not_a_number")]
    listed = json.loads(set_aside_path(run.path, ROWS).read_text())
    assert (listed["id"], listed["code"]) == ("rows", "parts_set_aside")
    assert listed["sentence"] == "parts of it could not be used (row: 3)"
    assert [(one["row"], one["entity"], one["column"], one["code"]) for one in listed["parts"]] == [
        (0, "A", "ret", "not_a_number"),
        (1, "A", "ret", "number_unclear"),
        (2, "A", "ret", "not_a_number"),
    ]
    assert listed["parts"][1]["content"]["ret"] == "1,234"


def test_more_than_the_share_stops_and_the_list_is_left_in_the_run(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "output.csv"
    with pytest.raises(InputError) as caught:
        report_rejected(checked(["x", *range(18)]), COLUMNS, 0.05, run, elsewhere)
    assert caught.value.code == "too_many_rejected"
    assert caught.value.sentence.startswith(
        "1 of 19 rows would be set aside, more than data.max_rejected=0.05 allows, all because ret is not a valid"
    )
    assert not elsewhere.exists()
    assert set_aside_path(run.path, ROWS).read_text().count("not_a_number") == 1


@pytest.mark.parametrize(("most", "rows"), [(0.05, 19), (1.0, 1)])
def test_the_share_itself_is_allowed_and_the_callers_list_is_named(
    run: Run, most: float, rows: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report_rejected(checked(["x", *range(rows)]), COLUMNS, most, run, tmp_path / "list.csv")
    assert capfd.readouterr().err.endswith(f"all are listed in {tmp_path / 'list.csv'}\n")
    assert not set_aside_path(run.path, ROWS).exists()


def test_copies_of_a_row_are_counted_but_do_not_stop(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    report_rejected(checked([1.0, 2.0, 3.0], copies=3), COLUMNS, 0.0, run)
    assert capfd.readouterr().err.startswith(
        "note: 3 of 6 rows were set aside, all because the row is there more than once"
    )


def test_how_numbers_were_read_is_one_line(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    report_rejected(checked(["(1.5)", "2 %", 3]), COLUMNS, 0.0, run)
    assert capfd.readouterr().err == (
        "note: 1 of 3 values of ret are written as (1.23), 1.23- or with a long minus, and read as -1.23; "
        "1 of 3 values of ret are written in percent, and read as fractions (12 % is 0.12)\n"
    )


def test_the_list_goes_when_nothing_is_set_aside_any_more(tmp_path: Path) -> None:
    parts = [set_aside_part("entity", "A", "ret", ("too_short", "it is too short"))]
    path = write_set_aside(tmp_path, "as_of=2024-01-31", parts)
    assert path == tmp_path / "quarantine" / "as_of=2024-01-31.json"
    assert json.loads(path.read_text())["parts"] == [
        {
            "kind": "entity",
            "row": None,
            "entity": "A",
            "column": "ret",
            "code": "too_short",
            "sentence": "it is too short",
            "content": None,
        }
    ]
    assert write_set_aside(tmp_path, "as_of=2024-01-31", []) == path
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("a file")
    with pytest.raises(InputError):
        write_set_aside(tmp_path, "x", [set_aside_part("entity", "A", "ret", ("too_short", "s"))])
