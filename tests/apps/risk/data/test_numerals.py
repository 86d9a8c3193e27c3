"""Numbers as they are written: each way has one value, or is refused; no cell is read otherwise because of others."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.data.numerals import Style, numbers

PLAIN: list[tuple[Any, float]] = [
    ("1", 1.0),
    (" 2.5 ", 2.5),
    ("+3", 3.0),
    ("1e5", 1e5),
    ("5.", 5.0),
    ("-inf", -math.inf),
    (True, 1.0),
    (decimal.Decimal("1.25"), 1.25),
    (b"7", 7.0),
    (2**60, 2.0**60),
    (np.float32(0.5), 0.5),
    (complex(4, 0), 4.0),
]
WRITTEN: list[tuple[str, float]] = [
    # negative, as accounting, SAP and typesetting have it
    *(("(1.23)", -1.23), ("( 1.23 )", -1.23), ("1.23-", -1.23), ("1.23 -", -1.23), ("\u22121.23", -1.23)),
    *(("\u20131.23", -1.23), ("- 1.23", -1.23), ("(1,234.50)", -1234.5), ("+1,5", 1.5)),
    # groups of thousands, of India, of Switzerland, by spaces that do and do not break
    *(("1,234.56", 1234.56), ("1.234,56", 1234.56), ("1,234,567", 1234567.0), ("1.234.567", 1234567.0)),
    *(("12,34,567", 1234567.0), ("12,34,567.8", 1234567.8), ("1.234.567,8", 1234567.8)),
    *(("1'234.56", 1234.56), ("1\u2019234,56", 1234.56), ("1'234", 1234.0), ("1'234,567", 1234.567)),
    *(
        ("1 234,5", 1234.5),
        ("1\u00a0234.5", 1234.5),
        ("1\u202f234", 1234.0),
        ("1\u2009234\u2009567", 1234567.0),
    ),
    # decimal commas that can be nothing else
    *(("1,5", 1.5), ("0,123", 0.123), ("1234,567", 1234.567), (",5", 0.5), ("1,5e-3", 0.0015)),
    # shares and amounts
    *(
        ("12 %", 0.12),
        ("12,5%", 0.125),
        ("(3 %)", -0.03),
        ("(3) %", -0.03),
        ("\u22125\u00a0%", -0.05),
        ("%7", 0.07),
    ),
    *(("$5", 5.0), ("-$1,234.50", -1234.5), ("$-3", -3.0), ("($1.23)", -1.23), ("1.234,50 \u20ac", 1234.5)),
    *(("\u00a35", 5.0), ("\u20b912,34,567", 1234567.0)),
]
UNCLEAR = ["1,234", "-12,345", "(1,234)", "$1,234", "999,999", "1,234 %", "1,234-"]
NO_NUMBERS = [
    *(
        "abc",
        "1_000",
        "0x10",
        "1 2",
        "1,2,3",
        "1.2.3",
        "31.01.2024",
        "2024-01-31",
        "1,23.4",
        "1.234.56",
        "(-1)",
        "-1-",
    ),
    *(
        "(1",
        "1)",
        "()",
        "$",
        "%",
        "12%%",
        "$5%",
        "$5 \u20ac",
        "0,123,456",
        "1'23",
        "1.234 567",
        "1,5,",
        "1e",
        "12:30",
    ),
    *(datetime.date(2024, 3, 31), pd.Timestamp("2024-07-01 12:00", tz="Europe/Berlin"), 1j, 10**400, [1.0]),
    datetime.timedelta(1),
]
EMPTY = [
    None,
    math.nan,
    pd.NaT,
    pd.NA,
    "",
    "  ",
    "NA",
    "null",
    "NaT",
    "-",
    "\u2013",
    "\u2014",
    "\u2212",
    "\u00a0",
]


def column(*cells: Any) -> pd.Series:
    return pd.Series(list(cells), dtype=object)


def test_numbers_are_read_and_what_is_none_is_named() -> None:
    read = [*PLAIN, *WRITTEN]
    result = numbers(column(*[cell for cell, _ in read], *NO_NUMBERS, *EMPTY, *UNCLEAR))
    size, none, empty = len(read), len(NO_NUMBERS), len(EMPTY)
    for index, (cell, number) in enumerate(read):
        assert result.value_R[index] == number, cell
    assert np.isnan(result.value_R[size:]).all()
    assert result.bad_R.tolist() == [False] * size + [True] * none + [False] * (empty + len(UNCLEAR))
    assert result.unclear_R.tolist() == [False] * (size + none + empty) + [True] * len(UNCLEAR)


@pytest.mark.parametrize(
    ("decimal", "wanted"),
    [
        (
            "comma",
            {"1,234": 1.234, "1.234": 1234.0, "1.234,5": 1234.5, "1.5": None, "1,234.5": None, "(2,5)": -2.5},
        ),
        (
            "point",
            {
                "1,234": 1234.0,
                "1.234": 1.234,
                "1,234.5": 1234.5,
                "1,5": None,
                "1.234,5": None,
                "1'234": 1234.0,
            },
        ),
    ],
)
def test_the_mark_that_is_named_holds_for_all_cells(decimal: str, wanted: dict[str, float | None]) -> None:
    for dtype in ("object", "str"):
        result = numbers(pd.Series(list(wanted), dtype=dtype), decimal)
        assert [None if math.isnan(value) else value for value in result.value_R] == list(wanted.values())
        assert result.bad_R.tolist() == [value is None for value in wanted.values()]
        assert not result.unclear_R.any()


def test_a_point_is_doubtful_where_the_column_has_decimal_commas() -> None:
    cells = column("1.234", "0.5", "12.3456", "1,5", "-2.500", None)
    everything, none = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)
    result = numbers(cells)
    assert result.contradicted_R(everything).tolist() == [True, False, False, False, True, False]
    assert not result.contradicted_R(none).any()  # rows that are not there yet prove nothing
    assert not numbers(column("1.234", "0.5", "1,234.5")).contradicted_R(np.ones(3, dtype=bool)).any()


def test_what_is_not_plain_is_counted_and_said() -> None:
    cells = column("1.5", "(1.5)", "12 %", "$5", "\u20ac6", "1,234.5", "(7)", "x")
    kept = np.array([True] * 6 + [False] * 2)
    assert numbers(cells).notes("ret", cells, kept) == [
        "1 of 6 values of ret are written as (1.23), 1.23- or with a long minus, and read as -1.23",
        "1 of 6 values of ret are written in percent, and read as fractions (12 % is 0.12)",
        "2 of 6 values of ret are written with a currency sign ($ and \u20ac), and read without it",
        "1 of 6 values of ret are written in groups of digits (1,234.5), and read as 1234.5",
    ]
    assert numbers(column("1.5", "-2")).notes("ret", cells, np.ones(2, dtype=bool)) == []


@pytest.mark.parametrize(
    "dtype", ["int64", "Int64", "Float32", "float32", "bool", "boolean", "category", "str"]
)
def test_each_kind_of_column_gives_the_same_numbers(dtype: str) -> None:
    result = numbers(pd.Series([1, 0, 1]).astype(dtype))
    assert result.value_R.dtype == np.float64
    assert result.value_R.tolist() == [1.0, 0.0, 1.0]
    assert not result.bad_R.any()


def test_missing_values_of_typed_columns_become_nan() -> None:
    for values in (pd.array([1, None], "Int64"), pd.array(["1", None], "str"), [1.0, None]):
        result = numbers(pd.Series(values))
        assert result.value_R[0] == 1.0
        assert np.isnan(result.value_R[1])
        assert not result.bad_R.any()


def test_dates_are_no_numbers() -> None:
    result = numbers(pd.Series(pd.to_datetime(["2024-01-01", None])))
    assert np.isnan(result.value_R).all()
    assert result.bad_R.tolist() == [True, False]


def test_nought_has_one_sign() -> None:
    wanted = np.array([0.0, 0, 0, 1, 1, 0]).tobytes()
    assert numbers(column(0.0, -0.0, "-0", 1, True, "(0)")).value_R.tobytes() == wanted
    assert numbers(pd.Series([-0.0, 1.0])).value_R.tobytes() == np.array([0.0, 1.0]).tobytes()
    assert numbers(pd.Series(["-0", "1"])).value_R.tobytes() == np.array([0.0, 1.0]).tobytes()


CELLS = st.one_of(
    st.sampled_from([*EMPTY, *NO_NUMBERS, *UNCLEAR, *[cell for cell, _ in [*PLAIN, *WRITTEN]]]),
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=8),
    st.text(alphabet="0123456789.,' ()-%$\u20ace", max_size=12),
    st.decimals(),
    st.booleans(),
    st.complex_numbers(),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(mine=st.lists(CELLS, min_size=1, max_size=4), other=st.lists(CELLS, max_size=4))
def test_a_cell_does_not_depend_on_the_others(mine: list[Any], other: list[Any]) -> None:
    size = len(mine)
    alone, beside = numbers(column(*mine)), numbers(column(*mine, *other))
    assert alone.value_R.tobytes() == beside.value_R[:size].tobytes()
    for name in ("bad_R", "unclear_R", "style_R"):
        assert np.array_equal(getattr(alone, name), getattr(beside, name)[:size])


@settings(max_examples=200, deadline=None)
@given(value=st.floats(-1e12, 1e12).map(lambda value: round(value, 2)))
def test_what_a_locale_writes_comes_back(value: float) -> None:
    english = f"{abs(value):,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    swiss, french = english.replace(",", "\u2019"), german.replace(".", "\u202f")
    for text in (english, german, swiss, french):
        cells = (
            (f"({text})", f"{text}-", f"\u2212{text}") if value < 0 else (text, f"{text} \u20ac", f"${text}")
        )
        assert numbers(column(*cells)).value_R.tolist() == [value + 0.0] * 3, cells


def test_text_columns_read_numbers_to_the_last_bit() -> None:
    # one bad cell sends all others through another reader
    drawn = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    cells = [repr(number) for number in drawn.tolist()]
    fast, slow = numbers(pd.Series(cells, dtype="str")), numbers(pd.Series([*cells, "x"], dtype="str"))
    wanted = np.array([float(cell) for cell in cells]).tobytes()
    assert fast.value_R.tobytes() == slow.value_R[:500].tobytes() == wanted
    assert slow.bad_R.sum() == 1


def test_plain_cells_need_no_closer_look() -> None:
    """Of a million plain cells and one that is not, one alone is read slowly: the style of the others is plain."""
    result = numbers(pd.Series(["1.25"] * 1000 + ["(1.25)"], dtype="str"))
    assert result.style_R[-1] == Style.NEGATIVE
    assert not result.style_R[:-1].any()
