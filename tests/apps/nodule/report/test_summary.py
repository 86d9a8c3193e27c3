from __future__ import annotations

from pathlib import Path

from apps.nodule.report.summary import SUMMARY_COLUMNS, write_summary


def test_a_row_is_written_in_the_order_of_the_columns_whatever_its_own_order_is(tmp_path: Path) -> None:
    row = {column: f"<{column}>" for column in reversed(SUMMARY_COLUMNS)}
    write_summary(tmp_path / "summary.csv", [row])
    header, line = (tmp_path / "summary.csv").read_text("utf-8").splitlines()
    assert header.split(",") == list(SUMMARY_COLUMNS)
    assert line.split(",") == [f"<{column}>" for column in SUMMARY_COLUMNS]
