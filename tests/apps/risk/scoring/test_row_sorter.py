"""The external sort: the order of a plain sort, in bounded memory, whatever the runs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from apps.risk.scoring import row_sorter
from apps.risk.scoring.row_sorter import RowSorter
from core.errors import InternalFault
from tests.apps.risk.scoring.partitions import LAYOUT, scores


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted runs of 10 rows read by 4."""
    monkeypatch.setattr(row_sorter, "ROWS_PER_RUN", 10)
    monkeypatch.setattr(row_sorter, "ROWS_PER_BATCH", 4)


@pytest.mark.parametrize("size", [1, 3, 10, 80])
def test_the_order_is_that_of_a_plain_sort(size: int, tmp_path: Path) -> None:
    frame = scores(40)
    shuffled = frame.iloc[np.random.default_rng(1).permutation(80)]
    sorter = RowSorter(tmp_path, LAYOUT)
    for start in range(0, 80, size):
        sorter.add(shuffled.iloc[start : start + size])
    rows = pa.concat_tables(sorter.tables()).to_pandas()
    pd.testing.assert_frame_equal(rows, frame.astype({"step": "int32"}), check_dtype=False)


def test_memory_holds_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    write = row_sorter.write_run
    monkeypatch.setattr(
        row_sorter, "write_run", lambda path, table: held.append(table.num_rows) or write(path, table)
    )
    sorter = RowSorter(tmp_path, LAYOUT)
    for start in range(0, 80, 3):
        sorter.add(scores(40).iloc[start : start + 3])
    pieces = [table.num_rows for table in sorter.tables()]
    assert held == [12] * 6 + [8]
    assert sum(pieces) == 80
    assert max(pieces) <= 7 * 4, "a batch of each of seven runs"


def test_one_key_in_two_runs_is_a_fault(tmp_path: Path) -> None:
    sorter = RowSorter(tmp_path, LAYOUT)
    for rows in (scores(9), scores(1)):
        sorter.add(rows)
    with pytest.raises(InternalFault, match="two rows of the scores have the same key"):
        list(sorter.tables())
