"""Partitions: the same bytes in any order and division, and whole whatever dies or races."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from apps.risk.scoring import partition, publishing, row_sorter
from apps.risk.scoring.manifest import verify
from apps.risk.scoring.partition import partition_folder, read_batches
from core.errors import InputError, InternalFault
from tests.apps.risk.scoring.partitions import DATE, DAY_BEFORE, LAYOUT, facts, scores, write, write_chunks

ROOT = Path(__file__).resolve().parents[4]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def _left(output: Path) -> list[str]:
    """Everything in an output folder but the inside of partitions, hidden names too."""
    there = [*output.iterdir(), *output.glob("scores/*"), *output.glob("scores/.*")]
    return sorted({str(path.relative_to(output)) for path in there})


def test_a_partition_reads_back_sorted_with_its_types(tmp_path: Path) -> None:
    frame = scores(6)
    folder = write_chunks(tmp_path, [frame.iloc[::-1]], facts(6))
    assert folder == tmp_path / "scores/as_of=2024-01-31"
    assert sorted(os.listdir(folder)) == ["_manifest.json", "part-00000.parquet"]
    table = pq.read_table(folder / "part-00000.parquet", partitioning=None)
    assert table.schema == LAYOUT.schema
    assert table.column("entity").to_pylist() == frame["entity"].tolist()
    assert table.column("step").to_pylist() == frame["step"].tolist()
    assert table.column("var").to_pylist() == [None if np.isnan(value) else value for value in frame["var"]]
    assert table.column("code").to_pylist() == [None, *["ok"] * 6, None, *["ok"] * 4]
    assert pa.Table.from_batches(read_batches(folder, 5)) == table
    assert verify(folder)["files"]["part-00000.parquet"]["rows"] == 12
    assert _left(tmp_path) == ["manifest.json", "scores", "scores/as_of=2024-01-31"]


def test_the_files_hold_nothing_of_the_machine_or_the_clock(tmp_path: Path) -> None:
    path = write(tmp_path, 3) / "part-00000.parquet"
    meta = pq.read_metadata(path)
    assert meta.created_by == f"parquet-cpp-arrow version {pa.__version__}"
    assert meta.metadata is None
    data = path.read_bytes()
    assert all(word.encode() not in data for word in (os.uname().nodename, pd.__version__ + '"', "pandas"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of 7 rows, files of 3 groups, sorted runs of 10 rows read by 4."""
    monkeypatch.setattr(partition, "ROWS_PER_GROUP", 7)
    monkeypatch.setattr(partition, "GROUPS_PER_FILE", 3)
    monkeypatch.setattr(row_sorter, "ROWS_PER_RUN", 10)
    monkeypatch.setattr(row_sorter, "ROWS_PER_BATCH", 4)


@pytest.mark.usefixtures("small")
def test_order_and_division_of_the_work_change_no_byte(tmp_path: Path) -> None:
    frame = scores(40)
    whole = _bytes(write(tmp_path / "whole", 40))
    assert list(whole) == ["_manifest.json", *(f"part-0000{number}.parquet" for number in range(4))]
    rng = np.random.default_rng(1)
    for case in range(12):
        shuffled = frame.iloc[rng.permutation(80)]
        size = int(rng.integers(1, 30))
        chunks: list[pa.Table | pd.DataFrame] = [
            shuffled.iloc[start : start + size] for start in range(0, 80, size)
        ]
        if case % 2:
            chunks = [
                pa.Table.from_pandas(chunk[["code", "var", "step", "entity"]], preserve_index=False)
                for chunk in chunks
            ]
        folder = write_chunks(tmp_path / str(case), iter(chunks), facts(40))
        assert _bytes(folder) == whole
    group = pq.read_metadata(tmp_path / "whole/scores/as_of=2024-01-31/part-00003.parquet")
    assert [group.row_group(number).num_rows for number in range(group.num_row_groups)] == [7, 7, 3]


def test_the_usual_readers_open_all_dates_at_once(tmp_path: Path) -> None:
    write(tmp_path, 3)
    write_chunks(tmp_path, [scores(2)], facts(2), DAY_BEFORE)
    frame = pd.read_parquet(tmp_path / "scores")
    assert frame["as_of"].value_counts().to_dict() == {"2024-01-31": 6, "2024-01-30": 4}
    data = pyarrow.dataset.dataset(tmp_path / "scores", format="parquet", partitioning="hive")
    assert data.count_rows() == 10
    index = json.loads((tmp_path / "manifest.json").read_text())["partitions"]
    assert {name: entry["counts"]["scored"] for name, entry in index.items()} == {
        "as_of=2024-01-30": 2,
        "as_of=2024-01-31": 3,
    }


def test_pages_of_long_columns_end_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    frame = scores(20_000).assign(code=[f"{word:050x}" for word in rng.integers(1 << 60, size=40_000)])
    one = write_chunks(tmp_path / "one", [frame], facts(1))
    monkeypatch.setattr(row_sorter, "ROWS_PER_RUN", 7_001)
    monkeypatch.setattr(row_sorter, "ROWS_PER_BATCH", 1_009)
    chunks = (frame.iloc[start : start + 3_001] for start in range(0, 40_000, 3_001))
    two = write_chunks(tmp_path / "two", chunks, facts(1))
    assert _bytes(one) == _bytes(two)


def test_no_rows_are_a_partition_too(tmp_path: Path) -> None:
    folder = write_chunks(tmp_path, [], facts(0))
    assert pq.read_table(folder / "part-00000.parquet", partitioning=None) == LAYOUT.schema.empty_table()
    assert _bytes(write_chunks(tmp_path / "b", [scores(0)], facts(0))) == _bytes(folder)


def test_the_same_partition_again_is_left_alone_and_another_replaces_it(tmp_path: Path) -> None:
    folder = write(tmp_path, 4)
    inode = folder.stat().st_ino
    assert write(tmp_path, 4).stat().st_ino == inode
    write(tmp_path, 3)
    assert folder.stat().st_ino != inode
    assert verify(folder)["counts"]["scored"] == 3
    (folder / "part-00000.parquet").write_bytes(b"x")
    write(tmp_path, 3)
    assert verify(folder)["counts"]["scored"] == 3
    assert _left(tmp_path) == ["manifest.json", "scores", "scores/as_of=2024-01-31"]


def _no_exchange(one: Path, other: Path) -> None:
    raise OSError(errno.EINVAL, "no exchange", str(other))


def test_a_file_system_without_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "exchange", _no_exchange)
    folder = write(tmp_path, 4)
    write(tmp_path, 3)
    assert verify(folder)["counts"]["scored"] == 3
    assert _left(tmp_path) == ["manifest.json", "scores", "scores/as_of=2024-01-31"]
    old = _bytes(folder)
    folder.rename(tmp_path / "scores/.as_of=2024-01-31.old")  # as a crash between the two steps leaves it
    write_chunks(tmp_path, [], facts(0), DAY_BEFORE)
    assert _bytes(folder) == old
    assert _left(tmp_path)[2:] == ["scores/as_of=2024-01-30", "scores/as_of=2024-01-31"]


def test_a_fault_in_the_middle_leaves_the_old_one(tmp_path: Path) -> None:
    before = _bytes(write(tmp_path, 4))

    def broken() -> Iterator[pd.DataFrame]:
        yield scores(2)
        raise RuntimeError("scorer died")

    with pytest.raises(RuntimeError, match="scorer died"):
        write_chunks(tmp_path, broken(), facts(2))
    assert _bytes(tmp_path / "scores/as_of=2024-01-31") == before
    assert _left(tmp_path) == ["manifest.json", "scores", "scores/as_of=2024-01-31"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.concat([scores(9), scores(1)]), "two rows of the scores have the same key"),
        (pd.concat([scores(9), scores(9).iloc[3:4]]), "two rows of the scores have the same key"),
        (pd.concat([scores(1), scores(1)]), "two rows of the scores have the same key"),
        (scores(3).assign(entity=None), "no value in its key"),
        (scores(3).assign(more=1), "not those of the layout: more"),
        (scores(3).drop(columns="var"), "not those of the layout: var"),
        (scores(3).assign(step="x"), "do not have the types of the layout"),
        (scores(3).assign(step=1.5), "do not have the types of the layout"),
    ],
)
def test_rows_that_break_the_layout_are_faults(tmp_path: Path, frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(InternalFault, match=said):
        write_chunks(tmp_path, [frame], facts(3))
    assert _left(tmp_path) == ["scores"]


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "scores").write_text("a file")
    with pytest.raises(InputError, match="as_of=2024-01-31 exists and is not a folder"):
        write(tmp_path, 1)
    (tmp_path / "scores").unlink()
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/as_of=2024-01-31").write_text("a file")
    with pytest.raises(InputError, match="as_of=2024-01-31 lies below a file, not a folder"):
        write(tmp_path, 1)


def _start(folder: Path, times: int, add: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.apps.risk.scoring.partitions", str(folder), str(times), str(add)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def test_killed_at_any_moment_it_leaves_a_whole_partition(tmp_path: Path) -> None:
    folder = partition_folder(tmp_path, DATE)
    write(tmp_path, 50)
    allowed = {verify(write(tmp_path / f"as/{add}", 50, add))["digest"] for add in (0.0, 1.0)}
    rng = random.Random(4)
    seen = set()
    for _ in range(6):
        process = _start(tmp_path, 10_000, 0.0)
        _go(process)
        last = time.monotonic() + 60
        while seen != allowed and time.monotonic() < last:
            seen.add(_verify_while_swapped(folder)["digest"])
        time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        assert process.wait() == -9
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        assert verify(folder)["digest"] in allowed
    assert seen == allowed
    write(tmp_path, 50)
    assert _left(tmp_path) == ["as", "manifest.json", "scores", "scores/as_of=2024-01-31"]


def _verify_while_swapped(folder: Path) -> dict[str, str]:
    """Verify through one handle of the folder, as a reader must that meets a writer: names may move, it may not."""
    for _ in range(100):
        handle = os.open(folder, os.O_RDONLY)
        try:
            return verify(Path(f"/proc/self/fd/{handle}"))
        except (InputError, FileNotFoundError):  # it was replaced and removed while it was read: look again
            continue
        finally:
            os.close(handle)
    raise AssertionError("never whole")


def test_two_writers_of_a_date_at_once_leave_one_whole_result(tmp_path: Path) -> None:
    writers = [_start(tmp_path, 15, add) for add in (0.0, 10.0)]
    _go(*writers)
    for writer in writers:
        assert writer.communicate(timeout=60)[0] == "done\n"
        assert writer.returncode == 0
    content = verify(partition_folder(tmp_path, DATE))
    assert content["settings"]["add"] in (0.0, 10.0)
    assert _left(tmp_path) == ["manifest.json", "scores", "scores/as_of=2024-01-31"]
