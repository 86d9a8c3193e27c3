"""Cells to text and times: what each may look like, and that none depends on another."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.data.parse import NAIVE, texts, times

DAY = datetime.date(2024, 3, 31)
BERLIN = pd.Timestamp("2024-07-01 12:00", tz="Europe/Berlin")

# cell → wall time, minutes from UTC
TIMES: list[tuple[Any, str, int]] = [
    ("2024-03-31", "2024-03-31", NAIVE),
    (" 2024-03-31 10:20 ", "2024-03-31T10:20", NAIVE),
    ("2024", "2024-01-01", NAIVE),
    ("2024-03", "2024-03-01", NAIVE),
    ("202403", "2024-03-01", NAIVE),
    ("20240331", "2024-03-31", NAIVE),
    (20240331, "2024-03-31", NAIVE),
    (20240331.0, "2024-03-31", NAIVE),
    ("20240331102030", "2024-03-31T10:20:30", NAIVE),
    (DAY, "2024-03-31", NAIVE),
    (pd.Timestamp("2024-03-31 10:20:30.123456789"), "2024-03-31T10:20:30.123456", NAIVE),
    ("0001-01-01", "0001-01-01", NAIVE),
    ("2024-03-31T10:20:30+05:30", "2024-03-31T10:20:30", 330),
    ("2024-03-31 10:20:30-0800", "2024-03-31T10:20:30", -480),
    ("2024-03-31 10:20:30.5+01", "2024-03-31T10:20:30.5", 60),
    ("2024-03-31T10:20Z", "2024-03-31T10:20", 0),
    ("2024-03-31 10:20:30 UTC", "2024-03-31T10:20:30", 0),
    (BERLIN, "2024-07-01T12:00", 120),
]
NO_TIMES = [
    *("x", "now", "today", "31/01/2024", "2024-02-30", "99999-01-01", "2024-W05", "10:20"),
    *(1704067200, 1e18, math.inf, [1, 2], "150001"),
]
EMPTY = [None, math.nan, pd.NaT, pd.NA, "", "  ", "NA", "null", "NaT"]


def column(*cells: Any) -> pd.Series:
    return pd.Series(list(cells), dtype=object)


def test_times_are_read_as_written() -> None:
    parsed = times(column(*[cell for cell, _, _ in TIMES]))
    assert parsed.wall_R.dtype == np.dtype("datetime64[us]")
    for index, (cell, wall, zone) in enumerate(TIMES):
        assert parsed.wall_R[index] == np.datetime64(wall), cell
        offset = 0 if zone == NAIVE else 60 * zone
        assert (parsed.aware_R[index], parsed.offset_R[index]) == (zone != NAIVE, offset), cell
        assert parsed.instant_R[index] == np.datetime64(wall) - np.timedelta64(offset, "s"), cell
    assert not parsed.bad_R.any()
    assert not parsed.empty_R.any()


def test_what_is_no_time_is_distinguished_from_what_is_empty() -> None:
    parsed = times(column(*NO_TIMES, *EMPTY))
    assert np.isnat(parsed.wall_R).all()
    assert parsed.bad_R.tolist() == [True] * len(NO_TIMES) + [False] * len(EMPTY)
    assert parsed.empty_R.tolist() == [False] * len(NO_TIMES) + [True] * len(EMPTY)


def test_a_zone_takes_times_with_an_offset_and_leaves_the_others() -> None:
    # Berlin is UTC+1 in winter, UTC+2 in summer
    cells = ["2024-01-01T23:30Z", "2024-07-01T23:30+00:00", "2024-07-01", BERLIN, "x", None]
    parsed = times(column(*cells), zone="Europe/Berlin")
    wanted = ["2024-01-02T00:30", "2024-07-02T01:30", "2024-07-01", "2024-07-01T12:00", "NaT", "NaT"]
    np.testing.assert_array_equal(parsed.wall_R, np.array(wanted, dtype="datetime64[us]"))
    utc = ["2024-01-01T23:30", "2024-07-01T23:30", "2024-06-30T22:00", "2024-07-01T10:00", "NaT", "NaT"]
    np.testing.assert_array_equal(parsed.instant_R, np.array(utc, dtype="datetime64[us]"))
    assert parsed.moment_R("Europe/Berlin") is parsed.instant_R


def test_a_clock_put_ahead_or_back_is_named_unless_an_offset_says_which_time_is_meant() -> None:
    # Berlin 2024: 02:00 to 03:00 is leaped over on 31 March, and comes twice on 27 October
    cells = ["2024-03-31T02:30", "2024-10-27T02:30", "2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00"]
    for values in (column(*cells), column(*map(pd.Timestamp, cells))):
        parsed = times(values, zone="Europe/Berlin")
        assert parsed.skipped_R.tolist() == [True, False, False, False]
        assert parsed.doubled_R.tolist() == [False, True, False, False]
        assert not parsed.bad_R.any()
        assert parsed.instant_R[2:].tolist() == [
            datetime.datetime(2024, 10, 27, 0, 30),
            datetime.datetime(2024, 10, 27, 1, 30),
        ]
        assert parsed.wall_R[2] == parsed.wall_R[3]
    typed = times(pd.Series(pd.to_datetime(cells[:2])), zone="Europe/Berlin")
    assert (typed.skipped_R.tolist(), typed.doubled_R.tolist()) == ([True, False], [False, True])


def test_a_date_alone_is_a_day_even_where_its_midnight_does_not_exist() -> None:
    # clocks of Sao Paulo went from 00:00 to 01:00 on 4 November 2018
    parsed = times(column("2018-11-03", "2018-11-04"), zone="America/Sao_Paulo")
    assert not parsed.skipped_R.any()
    assert parsed.wall_R.tolist() == [datetime.datetime(2018, 11, 3), datetime.datetime(2018, 11, 4)]
    assert parsed.instant_R[1] == np.datetime64("2018-11-04T03:00")


def test_typed_times_keep_their_wall_clock() -> None:
    naive = pd.Series(pd.to_datetime(["2024-03-31", None]))
    parsed = times(naive)
    assert parsed.wall_R[0] == np.datetime64("2024-03-31")
    assert parsed.empty_R.tolist() == [False, True]
    aware = naive.dt.tz_localize("America/New_York")
    assert times(aware).wall_R[0] == np.datetime64("2024-03-31")
    assert times(aware).aware_R.tolist() == [True, False]
    assert times(aware).instant_R[0] == np.datetime64("2024-03-31T04:00")
    assert times(aware, zone="UTC").wall_R[0] == np.datetime64("2024-03-31T04:00")
    months = pd.Series(pd.period_range("2024-01", periods=2, freq="M"))
    assert times(months).wall_R.tolist() == [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 2, 1)]


def test_a_format_reads_other_dates() -> None:
    parsed = times(column("31/01/2024", "01/02/2024 ", "2024-01-31"), time_format="%d/%m/%Y")
    wanted = np.array(["2024-01-31", "2024-02-01", "NaT"], dtype="datetime64[us]")
    np.testing.assert_array_equal(parsed.wall_R, wanted)
    zoned = times(column("31.01.2024 10:00:00 +0100"), time_format="%d.%m.%Y %H:%M:%S %z")
    assert (zoned.wall_R[0], zoned.offset_R[0]) == (np.datetime64("2024-01-31T10:00"), 3600)


def test_an_id_reads_the_same_as_text_as_number_and_beside_a_gap() -> None:
    for values in ([1, 2, 10], [1.0, 2.0, 10.0], ["1", " 2", "10 "], pd.Categorical([1, 2, 10])):
        code_R, words = texts(pd.Series(values))
        assert words == ["1", "10", "2"]
        assert code_R.tolist() == [0, 2, 1]
    code_R, words = texts(pd.Series([1, None, 10]))
    assert (code_R.tolist(), words) == ([0, -1, 1], ["1", "10"])


def test_texts_keep_leading_zeros_and_words_that_only_look_missing() -> None:
    code_R, words = texts(column("007", "NA", "nan", "", None, "  ", "x" * 300, b"7", DAY, [1]))
    assert code_R[3:6].tolist() == [-1, -1, -1]
    assert [words[code] for code in code_R if code >= 0] == [
        *("007", "NA", "nan", "x" * 300, "7", "2024-03-31T00:00:00", "[1]")
    ]


CELLS = st.one_of(
    st.sampled_from([*[cell for cell, _, _ in TIMES], *NO_TIMES, *EMPTY]),
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=8),
    st.datetimes(),
    st.decimals(),
    st.booleans(),
    st.complex_numbers(),
    st.datetimes(timezones=st.timezones()),
)


def test_equal_cells_that_are_written_otherwise_stay_apart() -> None:
    noon = pd.Timestamp("2024-01-01 12:00", tz="UTC")
    assert times(column(noon, noon.tz_convert("Asia/Tokyo"))).offset_R.tolist() == [0, 32400]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(mine=st.lists(CELLS, min_size=1, max_size=4), other=st.lists(CELLS, max_size=4))
def test_a_cell_does_not_depend_on_the_others(mine: list[Any], other: list[Any]) -> None:
    size = len(mine)
    alone, beside = times(column(*mine)), times(column(*mine, *other))
    assert np.array_equal(alone.wall_R.view("i8"), beside.wall_R[:size].view("i8"))
    assert np.array_equal(alone.offset_R, beside.offset_R[:size])
    assert np.array_equal(alone.aware_R, beside.aware_R[:size])
    assert np.array_equal(alone.bad_R, beside.bad_R[:size])
    code, words = texts(column(*mine))
    more, all_words = texts(column(*mine, *other))
    assert [words[c] if c >= 0 else None for c in code] == [
        all_words[c] if c >= 0 else None for c in more[:size]
    ]


@pytest.mark.parametrize(("form", "unit"), [("unix", 1), ("unix_ms", 1000)])
@pytest.mark.parametrize("as_type", [int, float, str])
def test_seconds_since_1970_are_read_where_the_format_says_so(form: str, unit: int, as_type: Any) -> None:
    cells = column(as_type(1704067200 * unit), as_type(-86400 * unit), None, "soon")
    parsed = times(cells, time_format=form)
    wanted = np.array(["2024-01-01", "1969-12-31", "NaT", "NaT"], dtype="datetime64[us]")
    np.testing.assert_array_equal(parsed.wall_R, wanted)
    assert parsed.bad_R.tolist() == [False, False, False, True]
    assert (parsed.aware_R[:2].tolist(), parsed.offset_R[:2].tolist()) == ([True, True], [0, 0])  # in UTC
    assert times(cells, "Asia/Tokyo", form).wall_R[0] == np.datetime64("2024-01-01T09:00")
    assert times(cells).bad_R.tolist() == [True, True, False, True]  # nothing is guessed without it
