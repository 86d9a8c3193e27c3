"""Numbers as people and accounting systems write them: (1.23), 1.23-, 1.234,56, 1'234.56, 12 %, $5; cell by cell.

A cell is read where it can mean one number only. '1,234' may be 1234 or 1.234: it is unclear, and `decimal` says
which. '1.234' is a decimal point, as computers write it, unless another cell of the column has a decimal comma or
groups by points: then it is unclear, too. So no cell is ever read otherwise because of others, at most set aside.
Legend: R rows, U distinct cells.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from apps.risk.data.parse import MISSING_WORDS, distinct
from apps.risk.reasons import note

MARKS = {"point": ".", "comma": ","}  # what data.decimal may be


class Style(IntFlag):
    """How a cell is written, where it is not plain."""

    NEGATIVE = 1  # (1.23), 1.23-, or another minus sign than that of ASCII
    PERCENT = 2
    CURRENCY = 4
    GROUPED = 8
    COMMA = 16  # a decimal comma, or groups separated by points
    POINT_OR_GROUP = 32  # 1.234: read as a decimal point, though groups would look the same
    MINUS_ONE = 64  # of an event


# Codes of the notes on how they are read
READ = {
    Style.NEGATIVE: "read_negative",
    Style.PERCENT: "read_percent",
    Style.CURRENCY: "read_currency",
    Style.GROUPED: "read_grouped",
    Style.COMMA: "read_comma",
    Style.MINUS_ONE: "read_minus_one",
}


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers of R rows. value_R: float64, NaN where nothing is written or no number can be read.

    bad_R: something is written, and it is no number. unclear_R: it is one of two numbers. style_R: of Style.
    """

    value_R: np.ndarray
    bad_R: np.ndarray
    unclear_R: np.ndarray
    style_R: np.ndarray

    def where(self, keep_R: np.ndarray) -> Numbers:
        """Return the numbers with nothing in the other rows."""
        return Numbers(
            np.where(keep_R, self.value_R, np.nan),
            self.bad_R & keep_R,
            self.unclear_R & keep_R,
            self.style_R * keep_R,
        )

    def notes(self, name: str, cells: pd.Series, kept_R: np.ndarray) -> list[str]:
        """Return how cells of the rows that are kept, (R,) bool, were read where they are not plain.

        name: of the column. cells: as they are written.
        """
        if not self.style_R.any():
            return []
        style_K = self.style_R[kept_R]
        counts = {style: int(((style_K & style) > 0).sum()) for style in READ}
        signs = ""
        if counts[Style.CURRENCY]:
            texts = cells[kept_R & ((self.style_R & Style.CURRENCY) > 0)].astype(str).unique()
            signs = " and ".join(sorted(set(_CURRENCIES) & set("".join(texts))))
        return [
            note(READ[style], count=count, total=len(style_K), name=name, signs=signs)
            for style, count in counts.items()
            if count
        ]

    def contradicted_R(self, counts_R: np.ndarray) -> np.ndarray:
        """Return which rows hold a point that other rows, of those that count, show to be doubtful, (R,) bool."""
        if not (self.style_R[counts_R] & Style.COMMA).any():
            return np.zeros(len(self.style_R), dtype=bool)
        return (self.style_R & Style.POINT_OR_GROUP) > 0


_SPELLED = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),  # minus signs and hyphens
        **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),  # not breaking, as wide as a figure, thin
        **dict.fromkeys("\u2019\u02bc\u066c\uff07", "'"),
        **dict.fromkeys("\uff05\u066a", "%"),
        **dict.fromkeys("\uff0c\u066b", ","),
        "\uff0b": "+",
        "\uff0e": ".",
        "\ufeff": "",
    }
)
_NOTHING = (*MISSING_WORDS, "\u2014", "--")
_PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_POINT_OR_GROUP = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"
_CURRENCIES = "".join(char for char in map(chr, range(0x10000)) if unicodedata.category(char) == "Sc")
_WRITTEN = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<mark>[%{_CURRENCIES}])?\s*(?P<inner>[+-])?\s*"
    r"(?P<digits>\d[\d.,' ]*|[.,]\d+)(?P<power>[eE][+-]?\d{1,4})?"
    rf"\s*(?P<last>[+-])?\s*(?P<unit>[%{_CURRENCIES}])?\s*(?P<close>\))?\s*(?P<after>%)?"
)
_GROUPS = {  # of three digits; in India of two before the last one
    mark: re.compile(rf"[1-9]\d{{0,2}}(?:{m}\d{{3}})+|[1-9]\d?(?:{m}\d\d)+{m}\d{{3}}")
    for mark, m in ((mark, re.escape(mark)) for mark in ",.' ")
}


class _Cell(NamedTuple):
    value: float = math.nan
    style: int = 0
    bad: bool = False
    unclear: bool = False


class _Digits(NamedTuple):
    """Digits with a point for the mark before fractions."""

    text: str
    style: int
    unclear: bool = False


_NO_NUMBER = _Cell(bad=True)


def numbers(values: pd.Series, decimal: str | None = None) -> Numbers:
    """Read the numbers of a column. decimal: "point" or "comma", where it is said which mark stands before fractions.

    Infinity is a number here; the contract refuses it. Dates are none, and words (true, yes) are none.
    """
    size, dtype_kind = len(values), values.dtype.kind
    none_R, plain_R = np.zeros(size, dtype=bool), np.zeros(size, dtype=np.uint8)
    if dtype_kind in "biuf":
        value_R = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
        return Numbers(positive_zero(value_R), none_R, none_R, plain_R)
    if dtype_kind in "mM":
        return Numbers(np.full(size, np.nan), values.notna().to_numpy(dtype=bool), none_R, plain_R)
    if isinstance(values.dtype, pd.StringDtype) and decimal != "comma":
        try:
            array = pa.array(values, type=pa.large_string(), from_pandas=True).cast(pa.float64())
        except pa.ArrowInvalid:
            pass  # some cell needs a closer look
        else:
            return Numbers(positive_zero(array.to_numpy(zero_copy_only=False)), none_R, none_R, plain_R)
    return _by_value(values, decimal)


def positive_zero(number_R: np.ndarray) -> np.ndarray:
    """Replace -0.0, which equals 0.0 and yet has other bytes; no copy where there is none."""
    return number_R + 0.0 if (np.signbit(number_R) & (number_R == 0.0)).any() else number_R


def _by_value(values: pd.Series, decimal: str | None) -> Numbers:
    code_R, objects = distinct(values)
    value_U, style_U = np.full(len(objects) + 1, np.nan), np.zeros(len(objects) + 1, dtype=np.uint8)
    bad_U, unclear_U = np.zeros((2, len(objects) + 1), dtype=bool)
    for index in _read_plain(objects, decimal, value_U, style_U):
        value_U[index], style_U[index], bad_U[index], unclear_U[index] = _cell(objects[index], decimal)
    return Numbers(positive_zero(value_U)[code_R], bad_U[code_R], unclear_U[code_R], style_U[code_R])


def _read_plain(
    objects: list[Any], decimal: str | None, value_U: np.ndarray, style_U: np.ndarray
) -> list[int]:
    """Read at once what is written as computers do; return the positions of all else."""
    if decimal == "comma":
        return list(range(len(objects)))
    text_U = pa.array(
        [value if isinstance(value, str) else None for value in objects], type=pa.large_string()
    )
    plain_U = pc.match_substring_regex(text_U, _PLAIN).fill_null(fill_value=False)
    text_P, index_P = text_U.filter(plain_U), np.flatnonzero(plain_U.to_numpy(zero_copy_only=False))
    value_U[index_P] = text_P.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if decimal is None:
        doubtful_P = pc.match_substring_regex(text_P, _POINT_OR_GROUP).to_numpy(zero_copy_only=False)
        style_U[index_P[doubtful_P]] = Style.POINT_OR_GROUP
    rest_U = np.ones(len(objects), dtype=bool)
    rest_U[index_P] = False
    return np.flatnonzero(rest_U).tolist()


def _cell(value: Any, decimal: str | None) -> _Cell:
    if isinstance(value, str):
        return _written(value, decimal)
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)):
        return _NO_NUMBER
    try:
        return _Cell(float(value))
    except (ValueError, TypeError, OverflowError):
        return _NO_NUMBER


def _written(cell: str, decimal: str | None) -> _Cell:
    """Read what stands around the digits, then the digits."""
    word = cell.translate(_SPELLED).strip()
    if word in _NOTHING:
        return _Cell()
    if word.lower().lstrip("+-") in ("inf", "infinity", "nan"):
        return _Cell(float(word))
    match = _WRITTEN.fullmatch(word)
    if match is None:
        return _NO_NUMBER
    enclosed = match["open"] is not None
    signs = [match[name] for name in ("sign", "inner", "last") if match[name]]
    marks = [match[name] for name in ("mark", "unit", "after") if match[name]]
    if enclosed != (match["close"] is not None) or len(signs) + enclosed > 1 or len(marks) > 1:
        return _NO_NUMBER  # of two signs nobody can say which holds
    digits = _digits(match["digits"].rstrip(), decimal)
    if digits is None:
        return _NO_NUMBER
    negative, percent = enclosed or signs == ["-"], marks == ["%"]
    style = digits.style
    if negative and (enclosed or match["last"] or "-" not in cell):
        style |= Style.NEGATIVE
    if marks:
        style |= Style.PERCENT if percent else Style.CURRENCY
    power = int((match["power"] or "e0")[1:]) - (2 if percent else 0)
    value = float(f"{'-' if negative else ''}{digits.text}e{power}")
    return _Cell(math.nan if digits.unclear else value, int(style), unclear=digits.unclear)


def _digits(text: str, decimal: str | None) -> _Digits | None:
    """Find the mark before fractions, by `decimal` or where it can be one alone, and what parts groups."""
    mark = MARKS[decimal] if decimal else _mark_of(text)
    whole, _, fraction = text.partition(mark) if mark else (text, "", "")
    parting = set(whole) & set(_GROUPS)
    if (fraction and not fraction.isdecimal()) or len(parting) > 1:
        return None
    group = parting.pop() if parting else ""
    if group and not _GROUPS[group].fullmatch(whole):
        return None
    style = Style(0)
    if group:
        style |= Style.GROUPED
    if mark == "," or group == ".":
        style |= Style.COMMA
    elif not decimal and mark == "." and not group and _GROUPS["."].fullmatch(text):
        style |= Style.POINT_OR_GROUP
    unclear = not decimal and text.count(",") == 1 and group == "," and not mark
    return _Digits(f"{whole.replace(group, '') if group else whole or '0'}.{fraction}", int(style), unclear)


def _mark_of(text: str) -> str:
    """Return the mark before fractions; of '1,234' none, as groups have it, though it is unclear."""
    points, commas = text.count("."), text.count(",")
    if points and commas:
        return max(".,", key=text.rfind)
    mark = "." if points else ","
    if points + commas != 1:
        return ""
    apart = "'" in text or " " in text
    return "" if mark == "," and not apart and _GROUPS[","].fullmatch(text) else mark
