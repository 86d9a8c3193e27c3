"""How a CSV file is laid out: its encoding, what stands above its header, what separates its columns.

All of it is read from the file's beginning, so that no later row changes it.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from apps.risk.data.columns import Columns
from apps.risk.reasons import AWAITED, INPUTS
from core.errors import InputError
from core.text.quoting import shortened

SEPARATORS = (",", ";", "\t", "|")
HEAD = 1 << 16  # bytes in which a header must end
MOST_ABOVE = 50  # lines that may stand above the header
_BOMS = (  # the longer first: that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*')  # of Excel


class Layout(NamedTuple):
    """names: of the columns. skip: lines up to the end of the header. above: lines of text that it skips.

    rows: whether any row follows.
    """

    names: list[str]
    separator: str
    skip: int
    above: int
    rows: bool
    encoding: str


def csv_layout(
    source: Path | pa.Buffer, columns: Columns, encoding: str | None = None, *, called: str = ""
) -> Layout:
    """Find the header: the first line that names every declared column, else the first line that is no comment.

    source: a file, or a CSV in memory, which errors call `called`. encoding: None is UTF-16 or UTF-32 where the bytes
    show it, else UTF-8. Raises InputError for a file without a header line or of another encoding, and OSError.
    """
    called = called or str(source)
    with pa.input_stream(str(source) if isinstance(source, Path) else source, compression="detect") as stream:
        head = stream.read(HEAD)
    codec = _known(encoding) if encoding else _shown(head)
    text = head.decode(codec, errors="replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first: Layout | None = None
    separator, above = "", 0
    for number, line in enumerate(lines[:MOST_ABOVE]):
        match = _SEP_LINE.fullmatch(line)
        if match is not None:
            separator = match[1]
        elif line.strip():
            layout = _header_at(lines, number, separator or _most_frequent(line), above, codec)
            if set(columns.all) <= set(layout.names):
                return layout
            first = first or (None if line.startswith("#") else layout)
            above += 1
    if first is None:
        raise AWAITED("header_missing", path=called)
    if "\ufffd" in "".join(first.names):
        raise not_in(called, codec)
    return first


def not_in(path: Path | str, encoding: str) -> InputError:
    """Return the error of a file whose bytes are of another encoding."""
    return INPUTS("table_encoding", path=path, encoding=encoding.upper())


def _header_at(lines: list[str], number: int, separator: str, above: int, encoding: str) -> Layout:
    reader = csv.reader(io.StringIO("\n".join(lines[number:])), delimiter=separator)
    names = [name.strip() for name in next(reader)]
    skip = number + reader.line_num  # a name may span lines
    rows = any(line.strip() for line in lines[skip:])
    return Layout(names, separator, skip, above, rows, encoding)


def _most_frequent(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _known(encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        codec = None
    if codec is None or not codec._is_text_encoding:  # zip and base64 are codecs, too
        raise INPUTS("encoding_unknown", encoding=shortened(encoding))
    return codec.name


def _shown(head: bytes) -> str:
    """Return what a byte-order mark says, or every other byte of Latin text in UTF-16, which is 0."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    even, odd = head[0::2], head[1::2]
    if odd and odd.count(0) > len(odd) / 2 and not even.count(0):
        return "utf-16-le"
    if even and even.count(0) > len(even) / 2 and not odd.count(0):
        return "utf-16-be"
    return "utf-8"
