"""The instant as of which a table is seen: read from text, compared with the table's times, naming a partition.

A date alone means the end of that day, so that a close at 17:30 of it counts; a date with a time means that instant.
Times are those of a wall clock in the table's zone (`data.zone`); without one they count as written. Free of pandas and
torch, so that a wrong `as_of=` is refused at once.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from apps.risk.reasons import INPUTS
from core.errors import InputError
from core.text.quoting import shortened

_LAST_TIME = datetime.time(23, 59, 59, 999999)  # of a day
_UTC = re.compile(r"\s*UTC$")
_SPACE_BEFORE_OFFSET = re.compile(r"\s+(?=[+-]\d\d)")


@dataclass(frozen=True)
class AsOf:
    """An instant. moment: wall-clock time in the table's zone, with its offset from UTC where a zone is known.

    turn: 0, or where the clock is put back and the wall-clock time comes twice, 1 or 2 for the first or second time.
    """

    moment: datetime.datetime
    turn: int = 0

    @property
    def wall(self) -> np.datetime64:
        """Wall-clock time in the table's zone, datetime64[us]; rows up to this one have been seen."""
        return np.datetime64(self.moment.replace(tzinfo=None), "us")

    @property
    def instant(self) -> np.datetime64 | None:
        """Time in UTC, datetime64[us]; None where no zone is known."""
        if self.moment.tzinfo is None:
            return None
        return np.datetime64(self.moment.astimezone(datetime.UTC).replace(tzinfo=None), "us")

    @property
    def day(self) -> datetime.date:
        """Day of the wall-clock time."""
        return self.moment.date()

    @property
    def text(self) -> str:
        """ISO 8601, as `as_of=` takes it: a date for the end of a day, with the offset where the time comes twice."""
        if self.moment.time() == _LAST_TIME and self.turn != 1:
            return self.day.isoformat()
        return self.exact

    @property
    def exact(self) -> str:
        """ISO 8601 with the time of day always, with the offset where the time comes twice."""
        moment = self.moment if self.turn else self.moment.replace(tzinfo=None)
        return moment.isoformat()

    @property
    def label(self) -> str:
        """Name of files and folders, in the order of time: 2021-02-23, 2021-02-23T17-30-00, 2024-10-27T02-30-00+0100.

        Only the second of two equal wall-clock times carries its offset. Sorted as text, the end of a day comes before
        the times within it, and of a doubled hour a time comes just before its second time.
        """
        if self.moment.time() == _LAST_TIME and self.turn != 1:
            return self.day.isoformat()
        clock = self.moment.replace(tzinfo=None).isoformat().replace(":", "-")
        return clock + (f"{self.moment:%z}" if self.turn == 2 else "")


def parse_as_of(text: str, zone: str | None = None) -> AsOf:
    """Return the instant that `as_of=` names; a date alone is the end of that day in the zone.

    zone: IANA name; a time with an offset is converted into it. Raises InputError for what is no date, an offset
    without a zone to convert it into, and a wall-clock time that the zone's clock leaps over or shows twice.
    """
    try:
        return _of_text(text, zone)
    except OverflowError:  # an hour before the year 1, or after the year 9999
        raise _no_date(text) from None


def end_of_day(day: datetime.date, zone: str | None = None) -> AsOf:
    """Return the last microsecond of a day; where the clock is put back at midnight, that of its second time."""
    return last_at(datetime.datetime.combine(day, _LAST_TIME), zone)


def last_at(wall: datetime.datetime, zone: str | None = None) -> AsOf:
    """Return the last instant at which the zone's clock shows this time. wall: without an offset."""
    if zone is None:
        return AsOf(wall)
    twice = len(_turns(wall, zone)) == 2
    return _fixed(wall.replace(tzinfo=ZoneInfo(zone), fold=1), 2 if twice else 0)


def _of_text(text: str, zone: str | None) -> AsOf:
    day, moment = _read(_SPACE_BEFORE_OFFSET.sub("", _UTC.sub("Z", text.strip())))
    if day is not None:
        return end_of_day(day, zone)
    if moment is None:
        raise _no_date(text)
    if moment.tzinfo is None:
        return _at_wall(moment, zone, text)
    if zone is None:
        raise INPUTS("as_of_offset", text=shortened(text))
    local = moment.astimezone(ZoneInfo(zone))
    twice = len(_turns(local.replace(tzinfo=None), zone)) == 2
    return _fixed(local, 1 + local.fold if twice else 0)


def _no_date(text: str) -> InputError:
    return INPUTS("as_of_value", text=shortened(text))


def _read(text: str) -> tuple[datetime.date | None, datetime.datetime | None]:
    """Return a date, or a time, or neither."""
    has_time = "T" in text or " " in text  # Python takes any sign between date and time, an offset's too
    try:
        if text.isascii() and has_time:
            return None, datetime.datetime.fromisoformat(text)
        return (datetime.date.fromisoformat(text), None) if text.isascii() else (None, None)
    except ValueError:
        return None, None


def _at_wall(wall: datetime.datetime, zone: str | None, text: str) -> AsOf:
    if zone is None:
        return AsOf(wall)
    turns = _turns(wall, zone)
    if not turns:
        raise INPUTS("as_of_skipped", text=text, zone=zone)
    if len(turns) == 2:
        first, second = (one.isoformat() for one in turns)
        raise INPUTS("as_of_twice", text=text, zone=zone, first=first, second=second)
    return _fixed(turns[0], 0)


def _turns(wall: datetime.datetime, zone: str) -> list[datetime.datetime]:
    """Return the times, none, one or two, at which the zone's clock shows a wall-clock time."""
    both = [wall.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
    early, late = (time.astimezone(datetime.UTC) for time in both)
    if early == late:
        return both[:1]
    return both if early < late else []


def _fixed(local: datetime.datetime, turn: int) -> AsOf:
    """Return a local time with its offset fixed: two times of one zone compare by the wall clock alone."""
    return AsOf(
        local.replace(tzinfo=datetime.timezone(local.utcoffset() or datetime.timedelta()), fold=0), turn
    )
