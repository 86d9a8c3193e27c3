"""Cells to text and times, each judged by itself: what one cell becomes never depends on another.

That is what lets a later row change nothing of an earlier one. Work is done once for each distinct value.
Numbers: apps.risk.data.numerals.
Legend: R rows. Faults are masks, never exceptions: the contract gives them their reasons.
"""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

# Words that mean "no value" in a number or a time; in a text, only nothing at all does.
MISSING_WORDS = ("", "-", "NA", "N/A", "#N/A", "NaN", "nan", "NaT", "null", "NULL", "None", "none", "<NA>")
NAIVE = -32768  # offset of a time written without one; others are in minutes
SIZE_HINT = 1 << 14  # distinct values to expect; without it pandas allocates as many as there are rows
_OFFSET = re.compile(
    r"^(.*(?::\d\d(?:[.,]\d+)?|[T ]\d\d(?:\d\d){0,2}(?:[.,]\d+)?))\s*(Z|z|UTC|[+-]\d\d(?::?\d\d)?)$"
)
_BELOW_MICRO = re.compile(r"([.,]\d{6})\d+$")
_MICRO = np.dtype("datetime64[us]")
_YEARS = (1600, 2400)
# Further values of time_format, and how many microseconds a unit has
EPOCHS = {"unix": 1_000_000, "unix_ms": 1_000}
_COUNT = re.compile(r"-?[0-9]{1,13}")


@dataclass(frozen=True, eq=False)
class Times:
    """Times of R rows. instant_R: datetime64[us] in UTC, or as written where there is no offset; NaT for none.

    offset_R: int32, seconds by which the clock that was read is ahead of UTC, 0 where none is known. aware_R: whether
    the row says which instant it means. empty_R: nothing was written. bad_R: something was, and it is no time.
    skipped_R, doubled_R: the zone's clock leaps over that time, or shows it twice, and no offset says which it is.
    """

    instant_R: np.ndarray
    offset_R: np.ndarray
    aware_R: np.ndarray
    empty_R: np.ndarray
    bad_R: np.ndarray
    skipped_R: np.ndarray
    doubled_R: np.ndarray

    @property
    def wall_R(self) -> np.ndarray:
        """The times by the clock that was read, (R,) datetime64[us]."""
        return np.asarray(self.instant_R + self.offset_R.astype("timedelta64[s]"))

    def moment_R(self, zone: str | None) -> np.ndarray:
        """Return what an as-of date is compared with: instants where the zone is known, else times as written."""
        return self.instant_R if zone else self.wall_R


def texts(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return codes, (R,) int32 with -1 where nothing is written, and the sorted distinct texts.

    Whole numbers lose '.0', so that an id reads the same in a column that a gap has turned into floats.
    """
    code_R, objects = distinct(values)
    words = [_text(value) for value in objects]
    names = sorted({word for word in words if word})
    index = {word: number for number, word in enumerate(names)}
    renamed = np.array([index.get(word, -1) for word in words] + [-1], dtype=np.int32)
    return renamed[code_R], names


def times(values: pd.Series, zone: str | None = None, time_format: str | None = None) -> Times:
    """Read ISO 8601 times (also 2024, 2024-03, 20240331), or those of `time_format`, with or without an offset.

    zone: the clock by which all are shown; a time without an offset is one of it (midnight that its clock leaps over
    is the day's first instant). time_format: as for strptime, or one of EPOCHS. A whole number other than YYYY, YYYYMM,
    YYYYMMDD, YYYYMMDDhhmmss is no time without it.
    """
    code_R, instant_U, wall_U, aware_U, empty_U = _distinct_times(values, zone, time_format)
    skipped_U = doubled_U = np.zeros(len(wall_U), dtype=bool)
    if zone is not None:
        naive_U = ~aware_U & ~np.isnat(wall_U)
        instant_U[naive_U], skipped, doubled = _localized(wall_U[naive_U], zone)
        skipped_U, doubled_U = np.zeros((2, len(wall_U)), dtype=bool)
        skipped_U[naive_U], doubled_U[naive_U] = skipped, doubled
        wall_U[aware_U] = walls_of(instant_U[aware_U], zone)
        aware_U = np.ones_like(aware_U)
    nat_U = np.isnat(instant_U)
    offset_U = np.where(nat_U, 0, (wall_U - instant_U).astype(np.int64) // 1_000_000).astype(np.int32)
    bad_U = nat_U & ~empty_U
    of_U = (instant_U, offset_U, aware_U, empty_U, bad_U, skipped_U, doubled_U)
    return Times(*(one if code_R is None else one[code_R] for one in of_U))


def walls_of(instant_T: np.ndarray, zone: str) -> np.ndarray:
    """Return by the clock of a zone what is given in UTC, (T,) datetime64[us]."""
    local = pd.DatetimeIndex(instant_T).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return np.asarray(local.to_numpy().astype(_MICRO))


def _localized(wall_U: np.ndarray, zone: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return instants of wall-clock times, and which of them the clock leaps over or shows twice.

    Those are near their time, so that it can be said on which side of a date they lie. Midnight is a date alone: it is
    the first instant of its day.
    """
    wall = pd.DatetimeIndex(wall_U)
    no_dst = np.zeros(len(wall), dtype=bool)
    only_once = wall.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    there = wall.tz_localize(zone, ambiguous=~no_dst, nonexistent="NaT")
    doubled_U, skipped_U = np.asarray(only_once.isna()), np.asarray(there.isna())
    midnight_U = wall_U == wall_U.astype("datetime64[D]")
    first = wall.tz_localize(zone, ambiguous=~no_dst, nonexistent="shift_forward")
    instant_U = first.tz_convert("UTC").tz_localize(None).to_numpy().astype(_MICRO)
    return instant_U, skipped_U & ~midnight_U, doubled_U & ~midnight_U


def _distinct_times(
    values: pd.Series, zone: str | None, time_format: str | None
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each row's code (None: each its own), and of the distinct values instant, wall time, aware and empty."""
    dtype = values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        code_R, uniques = pd.factorize(values, size_hint=SIZE_HINT)
        index = pd.DatetimeIndex(uniques)
        instant_U = index.tz_convert("UTC").tz_localize(None).to_numpy().astype(_MICRO)
        wall_U = index.tz_localize(None).to_numpy().astype(_MICRO)
        aware_U = np.ones(len(wall_U), dtype=bool)
        empty_U = np.zeros(len(wall_U), dtype=bool)
    elif dtype.kind == "M" and isinstance(dtype, np.dtype):
        wall_U = values.to_numpy().astype(_MICRO, copy=False)
        no_U = np.zeros(len(wall_U), dtype=bool)
        if zone is None:
            return None, wall_U, wall_U, no_U, np.isnat(wall_U)
        code_R, wall_U = pd.factorize(wall_U, size_hint=SIZE_HINT)
        wall_U = np.asarray(wall_U)
        instant_U, aware_U, empty_U = wall_U.copy(), no_U[: len(wall_U)], no_U[: len(wall_U)]
    else:
        code_R, objects = distinct(values)
        words = [_text(value) for value in objects]
        wall_U, minutes_U = _parse(*_since_1970(words, time_format))
        aware_U = minutes_U != NAIVE
        instant_U = np.where(aware_U, wall_U - minutes_U.astype("timedelta64[m]"), wall_U)
        empty_U = np.array([word in MISSING_WORDS for word in words], dtype=bool)
    nat = np.array([np.datetime64("NaT", "us")])
    instant_U, wall_U = np.append(instant_U, nat), np.append(wall_U, nat)
    return code_R, instant_U, wall_U, np.append(aware_U, False), np.append(empty_U, True)


def distinct(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Return the index of each row's cell among the distinct ones, (R,), -1 where nothing is written, and those."""
    plain = _unified(values) if values.dtype == object else values
    code_R, uniques = pd.factorize(plain, size_hint=SIZE_HINT)
    return code_R, list(uniques.to_numpy(dtype=object)) if hasattr(uniques, "to_numpy") else uniques.tolist()


def _unified(values: pd.Series) -> pd.Series:
    try:
        return values.map(_plain)
    except OverflowError:  # pandas makes floats of whole numbers, and one is larger than any float
        return pd.Series([_plain(value) for value in values], dtype=object)


def _plain(value: Any) -> Any:
    """Make cells that are equal (1, True, 1+0j; one instant in two zones) the same only if they read the same."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else str(value)
    if isinstance(value, complex):
        return value.real if value.imag == 0 else str(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.isoformat()
    return value if isinstance(value, collections.abc.Hashable) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, (datetime.date, np.datetime64)):
        return pd.Timestamp(value).isoformat()
    return str(value)


def _parse(words: list[str], time_format: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return wall times and offsets in minutes of distinct texts."""
    split = [_OFFSET.match(word) for word in words]
    naive = [match.group(1) if match else word for match, word in zip(split, words, strict=True)]
    if time_format:
        pattern = time_format.replace("%z", "").strip()
    else:
        naive, pattern = [_iso(word) for word in naive], "ISO8601"
    # pandas reads "now" and "today", which would bring in the clock; and one cell with nanoseconds narrows the
    # years that it can read in all the others
    naive = [_BELOW_MICRO.sub(r"\1", word) if any(map(str.isdigit, word)) else "" for word in naive]
    parsed = pd.to_datetime(pd.Series(naive, dtype=object), format=pattern, errors="coerce")
    minutes_U = np.array([_minutes(match.group(2)) if match else NAIVE for match in split], dtype=np.int16)
    return parsed.to_numpy().astype(_MICRO), minutes_U


def _since_1970(words: list[str], time_format: str | None) -> tuple[list[str], str | None]:
    """Spell seconds or milliseconds since 1970 as ISO 8601 in UTC, where time_format says that they are."""
    if time_format not in EPOCHS:
        return words, time_format
    micros = EPOCHS[time_format]
    return [
        f"{np.datetime64(int(word) * micros, 'us')}Z" if _COUNT.fullmatch(word) else "" for word in words
    ], None


def _iso(word: str) -> str:
    """Spell whole numbers as ISO 8601 dates; others become nothing, since their meaning can only be guessed."""
    if not word.isdigit():
        return word
    if len(word) not in (4, 6, 8, 14) or not _YEARS[0] <= int(word[:4]) <= _YEARS[1]:
        return ""
    date = "-".join(part for part in (word[:4], word[4:6], word[6:8]) if part)
    clock = f"T{word[8:10]}:{word[10:12]}:{word[12:14]}" if len(word) == 14 else ""
    return date + clock


def _minutes(offset: str) -> int:
    if offset in ("Z", "z", "UTC"):
        return 0
    digits = offset[1:].replace(":", "")
    size = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return -size if offset[0] == "-" else size
