"""What stands above a header, between columns and behind letters is found from the file's beginning."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.csv_layout import csv_layout
from apps.risk.data.sources import read_table
from core.errors import InputError

COLUMNS = Columns(entity="asset", time="date", targets=("ret",))
TEXT = "asset,date,ret\nM\u00fcnchen,2024-01-01,1.5\nB,2024-01-02,-2\n"


def rows(path: Path, content: str | bytes, encoding: str | None = None) -> list[tuple[object, ...]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    accepted = check(read_table(str(path), COLUMNS, encoding=encoding), COLUMNS).accepted
    return [(row.asset, str(row.date.date()), row.ret) for row in accepted.itertuples(index=False)]


WANTED = [("B", "2024-01-02", -2.0), ("M\u00fcnchen", "2024-01-01", 1.5)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
def test_an_encoding_that_the_bytes_show_needs_no_name(encoding: str, tmp_path: Path) -> None:
    content = TEXT.encode(encoding)
    if encoding == "utf-32-be":
        content = b"\x00\x00\xfe\xff" + content
    assert rows(tmp_path / "t.csv", content) == WANTED
    assert rows(tmp_path / "t.csv.gz", gzip.compress(content)) == WANTED


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_another_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    content = TEXT.encode(encoding)
    with pytest.raises(
        InputError, match=r"not written in UTF-8: name its encoding, such as data\.encoding=latin-1"
    ):
        rows(tmp_path / "t.csv", content)
    assert rows(tmp_path / "t.csv", content, encoding) == WANTED


def test_a_header_of_another_encoding_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("asset,date,r\u00e9t\n1,2,3\n".encode("latin-1"))
    with pytest.raises(InputError, match="name its encoding"):
        csv_layout(path, COLUMNS)


def test_a_wrong_name_of_an_encoding_stops(tmp_path: Path) -> None:
    for name in ("banana", "zip", "base64"):
        with pytest.raises(InputError, match=f"data.encoding={name} is not a known encoding"):
            rows(tmp_path / "t.csv", TEXT, name)
    with pytest.raises(InputError, match="not written in UTF-16"):
        rows(
            tmp_path / "t.csv",
            "asset,date,ret\nA,2024-01-01,1\n".encode("utf-16") + b"\x00\xd8\x00\x00",
            "utf-16",
        )
    with pytest.raises(InputError, match="is for CSV files"):
        read_table(str(tmp_path), COLUMNS, encoding="latin-1")


@pytest.mark.parametrize("separator", [";", "\t", "|", ",", "^"])
def test_a_line_of_excel_says_what_separates(separator: str, tmp_path: Path) -> None:
    for line in (f"sep={separator}\n", f'"sep={separator}"\r\n'):
        assert rows(tmp_path / "t.csv", line + TEXT.replace(",", separator)) == WANTED


@pytest.mark.parametrize(
    ("above", "skipped"),
    [
        ("\n\n  \n", 0),
        ("# made by hand\n# twice\n", 2),
        ("Daily returns, all desks\n\n", 1),
        ("#comment\n\nsep=,\n", 1),
        ("a;b;c;d;e\n", 1),
    ],
)
def test_what_stands_above_the_header_is_skipped_and_counted(
    above: str, skipped: int, tmp_path: Path
) -> None:
    assert rows(tmp_path / "t.csv", above + TEXT) == WANTED
    frame = read_table(str(tmp_path / "t.csv"), COLUMNS)
    notes = (f"lines above the header of t.csv that were skipped: {skipped}",) if skipped else ()
    assert check(frame, COLUMNS).notes == notes


def test_lines_that_cannot_be_split_keep_their_places_below_such_lines(tmp_path: Path) -> None:
    text = '# x\nsep=;\n"na\nme";asset;date;ret\n1;A;2024-01-01;1\n2;B\n3;A;2024-01-02;2\n'
    (tmp_path / "t.csv").write_text(text)
    checked = check(read_table(str(tmp_path / "t.csv"), COLUMNS), COLUMNS)
    assert checked.rejected["row"].tolist() == [1]
    assert len(checked.accepted) == 2


def test_values_may_span_lines_and_lines_may_end_in_each_way(tmp_path: Path) -> None:
    quoted = 'asset,date,ret\n"A\nline two",2024-01-01,1\n"B ""x"", y",2024-01-02,2\n'
    assert [row[0] for row in rows(tmp_path / "t.csv", quoted)] == ["A\nline two", 'B "x", y']
    for end in ("\r\n", "\r"):
        assert rows(tmp_path / "t.csv", TEXT.replace("\n", end)) == WANTED


@pytest.mark.parametrize("content", ["", "\n\n", "sep=;\n", "\ufeff"])
def test_a_file_without_a_header_says_so(content: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no header line"):
        rows(tmp_path / "t.csv", content)


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    for content in ("asset,date,ret\n", "sep=;\nasset;date;ret", "asset,date,ret\n\n\n".encode("utf-16")):
        with pytest.raises(InputError, match="the table has columns but no rows"):
            rows(tmp_path / "t.csv", content)
