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
NAIVE = -32768  # kind of a time written without an offset; others are the offset in minutes
_ONE_ZONE = 32767  # kind of a typed column, which has one zone
SIZE_HINT = 1 << 14  # distinct values to expect; without it pandas makes room for as many as there are rows
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
    """Times of R rows. wall_R: datetime64[us] as written, or in the zone asked for; NaT where there is none.

    empty_R: nothing was written. bad_R: something was, and it is no time. kind_R: NAIVE or offset in minutes.
    """

    wall_R: np.ndarray
    empty_R: np.ndarray
    bad_R: np.ndarray
    kind_R: np.ndarray


def texts(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Return codes, (R,) int32 with -1 where nothing is written, and the sorted distinct texts.

    Whole numbers lose '.0', so that an id reads the same in a column that a gap has turned into floats.
    """
    code_R, objects = distinct(values)
    words = [_text(value) for value in objects]
    names = sorted({word for word in words if word})
    place = {word: number for number, word in enumerate(names)}
    renamed = np.array([place.get(word, -1) for word in words] + [-1], dtype=np.int32)
    return renamed[code_R], names


def times(values: pd.Series, zone: str | None = None, time_format: str | None = None) -> Times:
    """Read ISO 8601 times (also 2024, 2024-03, 20240331), or those of `time_format`, with or without an offset.

    zone: times with an offset are converted into it, others count as written there; without it the offset is
    cut off and told in kind_R. time_format: as for strptime, or one of EPOCHS. A whole number other than YYYY, YYYYMM,
    YYYYMMDD, YYYYMMDDhhmmss is no time without it.
    """
    size = len(values)
    dtype = values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        local = values.dt.tz_convert(zone) if zone else values
        wall_R = local.dt.tz_localize(None).to_numpy().astype(_MICRO, copy=False)
        kind_R = np.full(size, NAIVE if zone else _ONE_ZONE, dtype=np.int16)
        return Times(wall_R, np.isnat(wall_R), np.zeros(size, dtype=bool), kind_R)
    if dtype.kind == "M" and isinstance(dtype, np.dtype):
        wall_R = values.to_numpy().astype(_MICRO, copy=False)
        return Times(wall_R, np.isnat(wall_R), np.zeros(size, dtype=bool), np.full(size, NAIVE, np.int16))
    code_R, objects = distinct(values)
    words = [_text(value) for value in objects]
    written, pattern = _since_1970(words, time_format)
    wall_U, kind_U = _parse(written, zone, pattern)
    empty_U = np.array([word in MISSING_WORDS for word in words], dtype=bool)
    wall_R = np.append(wall_U, np.datetime64("NaT", "us"))[code_R]
    empty_R = np.append(empty_U, True)[code_R]
    return Times(wall_R, empty_R, np.isnat(wall_R) & ~empty_R, np.append(kind_U, NAIVE)[code_R])


def distinct(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Return the place of each row's cell among the distinct ones, (R,), -1 where nothing is written, and those."""
    plain = values.map(_plain) if values.dtype == object else values
    code_R, uniques = pd.factorize(plain, size_hint=SIZE_HINT)
    return code_R, list(uniques.to_numpy(dtype=object)) if hasattr(uniques, "to_numpy") else uniques.tolist()


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


def _parse(words: list[str], zone: str | None, time_format: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return wall times and kinds of distinct texts."""
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
    wall_U = parsed.to_numpy().astype(_MICRO)
    minutes_U = np.array([_minutes(match.group(2)) if match else NAIVE for match in split], dtype=np.int16)
    if zone is None:
        return wall_U, minutes_U
    aware_U = minutes_U != NAIVE
    instant = wall_U[aware_U] - minutes_U[aware_U].astype("timedelta64[m]")
    local = pd.DatetimeIndex(instant).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    wall_U[aware_U] = local.to_numpy().astype(_MICRO)
    return wall_U, np.full(len(words), NAIVE, dtype=np.int16)


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
