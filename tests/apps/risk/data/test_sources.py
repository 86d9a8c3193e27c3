"""Tables from files: each format gives the same rows, broken lines keep their place, errors take one line."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.risk.data.columns import FAULT, Columns
from apps.risk.data.contracts import check
from apps.risk.data.sources import read_table
from core.errors import InputError

COLUMNS = Columns(targets=("loss",), observed=("seen",), statics=("kind",))
HEADER = "entity,time,unused,loss,seen,kind\n"
TEXT = HEADER + '007,2024-01-01,1,1.5,,"a, b"\nNA,2024-01-02,2,-2,NA,\n'


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return str(path)


def plain(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    accepted = check(frame, COLUMNS).accepted
    out = accepted.astype({"entity": object, "kind": object}).replace({np.nan: None})
    return list(out.itertuples(index=False, name=None))


WANTED = [
    ("007", pd.Timestamp("2024-01-01"), 1.5, None, "a, b"),
    ("NA", pd.Timestamp("2024-01-02"), -2.0, None, None),
]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_is_read_whatever_parts_its_columns(separator: str, tmp_path: Path) -> None:
    text = TEXT.replace('"a, b"', "a: b").replace(",", separator)
    frame = read_table(write(tmp_path / "t.csv", text), COLUMNS)
    assert list(frame.columns) == list(COLUMNS.all)
    assert plain(frame) == [(*WANTED[0][:4], "a: b"), WANTED[1]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TEXT),
        ("t.TSV", TEXT),
        ("t.txt", TEXT.replace("\n", "\r\n")),
        ("t.csv", b"\xef\xbb\xbf" + TEXT.encode()),
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),
        ("t.csv", TEXT.replace("entity,time,unused,loss", " entity , time,unused,loss")),
        ("t.csv", TEXT.replace("\n", "\n\n")),
    ],
)
def test_csv_comes_in_many_dresses(name: str, content: str | bytes, tmp_path: Path) -> None:
    assert plain(read_table(write(tmp_path / name, content), COLUMNS)) == WANTED


@pytest.mark.parametrize("name", [b"t.csv", b"\xff.csv"])
def test_a_path_whose_bytes_are_not_utf8(name: bytes, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    assert plain(read_table(write(folder / os.fsdecode(name), TEXT), COLUMNS)) == WANTED
    pq.write_table(
        pa.Table.from_pandas(pd.read_csv(io.StringIO(TEXT), dtype=str, keep_default_na=False)),
        tmp_path / "t.parquet",
    )
    (tmp_path / "t.parquet").rename(folder / "t.parquet")
    for source in (folder, folder / "t.parquet"):
        assert plain(read_table(str(source), COLUMNS)) == WANTED


def test_a_value_may_span_lines(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "t.csv", TEXT.replace("a, b", "a\nb")), COLUMNS)
    assert plain(frame)[0][-1] == "a\nb"


def test_cells_that_break_a_column_come_through_as_written(tmp_path: Path) -> None:
    text = HEADER + "a,2024-01-01,1,x,1,k\nb,2024-01-01,1,1.5,1,k\nc,2024-01-01,1,NA,1,k\n"
    checked = check(read_table(write(tmp_path / "t.csv", text), COLUMNS), COLUMNS)
    assert checked.rejected["code"].tolist() == ["not_a_number"]
    assert '"loss": "x"' in checked.rejected["content"][0]
    assert checked.accepted["loss"].isna().tolist() == [False, True]


def test_a_word_is_read_alike_whatever_the_rows_below_it_are(tmp_path: Path) -> None:
    """True and false are words: were a column of them another type, later rows would change earlier ones."""
    rows = "a,2024-01-01,1,true,0,x\n"
    result = [
        read_table(write(tmp_path / f"{len(more)}.csv", HEADER + rows + more), COLUMNS)["loss"].tolist()[:1]
        for more in ("", "b,2024-01-01,1,2.5,0,x\n")
    ]
    assert result[0] == result[1]


def test_lines_that_cannot_be_split_keep_their_places(tmp_path: Path) -> None:
    lines = ["a,2024-01-01,1,1,1,k", "b,1,2", "c,2024-01-01,1,3,1,k", "", "d,2024-01-01,1,1,1,k,7", "e,f"]
    frame = read_table(write(tmp_path / "t.csv", HEADER + "\n".join(lines)), COLUMNS)
    assert frame.index.tolist() == [0, 1, 2, 3, 4]
    assert frame["loss"].fillna(-1).tolist() == [1.0, -1.0, 3.0, -1.0, -1.0]
    assert frame[FAULT].astype(object).where(frame[FAULT].notna(), None).tolist() == [
        *(None, "3 values, wanted 6: b,1,2", None),
        *("7 values, wanted 6: d,2024-01-01,1,1,1,k,7", "2 values, wanted 6: e,f"),
    ]
    checked = check(frame, COLUMNS)
    assert checked.rejected["row"].tolist() == [1, 3, 4]
    assert set(checked.rejected["code"]) == {"row_shape"}
    assert checked.accepted["entity"].tolist() == ["a", "c"]


def test_columns_of_one_name_matter_only_where_they_are_asked_for(tmp_path: Path) -> None:
    text = "entity,time,x,x,loss,seen,kind\na,2024-01-01,1,2,3,4,k\n"
    assert plain(read_table(write(tmp_path / "t.csv", text), COLUMNS))[0][2] == 3.0
    with pytest.raises(InputError, match='has "loss" more than once: rename one of them'):
        read_table(write(tmp_path / "u.csv", text.replace("x,x", "loss,x")), COLUMNS)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "entity": ["007", "NA"],
            "time": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "loss": [1.5, -2.0],
            "seen": [None, None],
            "kind": pd.Categorical(["a, b", None]),
            "unused": [1, 2],
        }
    )


def test_parquet_files_and_folders_give_the_same_rows(tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "t.parquet")
    assert plain(read_table(str(tmp_path / "t.parquet"), COLUMNS)) == WANTED
    folder = tmp_path / "parts"
    for index in (0, 1):
        (folder / f"year={index}").mkdir(parents=True)
        _frame().iloc[[index]].to_parquet(folder / f"year={index}" / "part.parquet")
    (folder / "_SUCCESS").write_text("")
    frame = read_table(str(folder), COLUMNS)
    assert plain(frame) == WANTED
    assert plain(read_table(str(folder), COLUMNS)) == WANTED


def test_a_folder_named_as_partitions_has_them_as_columns(tmp_path: Path) -> None:
    for kind in ("x", "y"):
        (tmp_path / f"kind={kind}").mkdir()
        _frame().drop(columns="kind").to_parquet(tmp_path / f"kind={kind}" / "part.parquet")
    frame = read_table(str(tmp_path), COLUMNS)
    assert frame["kind"].tolist() == ["x", "x", "y", "y"]


def test_whole_number_ids_keep_all_digits_beside_a_gap(tmp_path: Path) -> None:
    table = pa.table(
        {
            "entity": pa.array([9007199254740993, None, 9007199254740992], pa.int64()),
            "time": pa.array([0, 1, 2], pa.date32()),
            "loss": pa.array([1, 2, 3], pa.decimal128(10, 2)),
            "seen": [1, 2, 3],
            "kind": pa.array([1, None, 2], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "t.pq")
    checked = check(read_table(str(tmp_path / "t.pq"), COLUMNS), COLUMNS)
    assert checked.accepted["entity"].tolist() == ["9007199254740992", "9007199254740993"]
    assert checked.accepted["time"].tolist() == [pd.Timestamp("1970-01-03"), pd.Timestamp("1970-01-01")]
    assert checked.accepted["loss"].tolist() == [3.0, 1.0]
    assert checked.accepted["kind"].tolist() == ["2", "1"]
    assert checked.rejected["code"].tolist() == ["entity_missing"]


@pytest.mark.parametrize(
    ("name", "content", "code", "sentence"),
    [
        ("t.csv", None, "table_missing", "t.csv does not exist: name a file, a folder or a database"),
        ("t.parquet", None, "table_missing", "t.parquet does not exist"),
        ("t.csv", "", "header_missing", "t.csv has no header line"),
        ("t.csv", "\n \n", "header_missing", "t.csv has no header line"),
        (
            "t.csv",
            TEXT.replace("loss", "lost"),
            "column_missing",
            'has no column "loss": did you mean "lost"?',
        ),
        ("t.csv", HEADER.encode() + b"\xff,2024-01-01,1,1,1,k\n", "table_encoding", "not written in UTF-8"),
        ("t.csv.gz", TEXT, "table_unreadable", "t.csv.gz cannot be read"),
        ("t.parquet", TEXT, "table_unreadable", "t.parquet cannot be read"),
        (
            "t.xlsx",
            TEXT,
            "format_unknown",
            "t.xlsx is not known: wanted .csv, .tsv, .txt, .parquet",
        ),
    ],
)
def test_a_file_that_is_no_table_stops_in_one_line(
    name: str, content: str | bytes | None, code: str, sentence: str, tmp_path: Path
) -> None:
    path = str(tmp_path / name) if content is None else write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_table(path, COLUMNS)
    assert caught.value.code == code
    assert sentence in caught.value.sentence
    assert "\n" not in caught.value.sentence


def test_a_header_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    for text in (HEADER, HEADER.strip()):
        with pytest.raises(InputError) as caught:
            check(read_table(write(tmp_path / "t.csv", text), COLUMNS), COLUMNS)
        assert caught.value.code == "table_empty"


def test_a_folder_without_parquet_files_stops(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", TEXT)
    with pytest.raises(InputError, match=r"holds no file that ends in \.parquet or \.pq"):
        read_table(str(tmp_path), COLUMNS)


def test_a_parquet_file_without_a_column_names_the_nearest(tmp_path: Path) -> None:
    _frame().rename(columns={"loss": "Loss"}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match='has no column "loss": did you mean "Loss"'):
        read_table(str(tmp_path / "t.parquet"), COLUMNS)


def test_a_url_is_a_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        read_table(f"sqlite:///{tmp_path}/none.db", COLUMNS, table="t")
