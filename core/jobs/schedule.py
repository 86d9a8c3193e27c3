"""Cron schedules: each due time gives one job, whoever is there to see it, and also when nobody was.

The times of day are those of a wall clock in the schedule's time zone. Where the clock is put ahead or back:

- a time that it leaps over is due as much later as it leaps (02:30 at 03:30, when 02:00 turns into 03:00);
- a time that comes twice is due the first time (both as RFC 5545, section 3.3.5, reads such a time);
- but a schedule of every hour (hour field `*`) is due the second time too, so that no hour is without.

croniter finds the times on the wall clock; given a time zone it would fire twice where a time comes twice, and miss
some where the clock goes back by half an hour (Lord Howe). DBOS has a scheduler too, but it makes up for missed times
without a bound, waits up to 10 s at random, and reads the computer's clock, which a test cannot move.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from croniter import CroniterError, croniter  # type: ignore[import-untyped]

from core.jobs.config import DEFAULT_QUEUE, check_name
from core.jobs.queue import check_json, submit
from core.jobs.reasons import SCHEDULE
from core.jobs.store import SCHEDULES, Store
from core.text.quoting import quoted

ON_TIME = timedelta(minutes=5)  # a due time seen later than this counts as missed
LONGEST = timedelta(days=366 * 30)  # no due time is searched for farther ahead
LEAP = timedelta(hours=3)  # no clock is put back by more
_RANDOM = re.compile(r"[hr](\(|/|$)", re.IGNORECASE)  # croniter's fields that differ from worker to worker


@dataclass(frozen=True)
class Schedule:
    """A registered schedule. through: due times up to this one are dealt with."""

    name: str
    cron: str
    zone: str
    job: str
    arguments: Mapping[str, Any]
    queue: str
    catch_up: int
    through: datetime


def register(
    store: Store,
    name: str,
    cron: str,
    zone: str,
    job: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    queue: str = DEFAULT_QUEUE,
    catch_up: int = 1,
    now: datetime | None = None,
) -> None:
    """Register a schedule, or change the one of this name; due times count from now on.

    cron: five fields, minute to day of the week. zone: IANA name ("Europe/Zurich"). job, arguments, queue: as in
    `submit`; each job also gets the argument `due`, its due time in ISO 8601 with offset, and the key name@due.
    catch_up: of the due times at which no worker ran, the latest so many are made up for, the older ones dropped.
    A change of cron or zone forgets missed times. Raises InputError for a wrong cron, zone, name or argument.
    """
    check_name("schedule", name)
    check_name("job", job)
    check_name("queue", queue)
    arguments = dict(arguments or {})
    check_json(job, arguments)
    now = now or datetime.now(UTC)
    _check_times(cron, zone, now)
    if catch_up < 0:
        raise SCHEDULE("schedule_catch_up", catch_up=catch_up)
    values = {
        "name": name,
        "cron": cron,
        "zone": zone,
        "job": job,
        "arguments": json.dumps(arguments),
        "queue": queue,
        "catch_up": catch_up,
    }
    known = [schedule for schedule in schedules(store) if schedule.name == name]
    if not known or (known[0].cron, known[0].zone) != (cron, zone):
        values["through"] = now.timestamp()
    else:
        values["through"] = known[0].through.timestamp()
    store.put(SCHEDULES, values)


def remove(store: Store, name: str) -> None:
    """Remove a schedule; its jobs stay. Raises InputError where there is none of this name."""
    if not store.change(sa.delete(SCHEDULES).where(SCHEDULES.c.name == name)):
        raise SCHEDULE("schedule_unknown", name=quoted(name))


def schedules(store: Store) -> list[Schedule]:
    """Return all schedules by name."""
    return [
        Schedule(
            row.name,
            row.cron,
            row.zone,
            row.job,
            json.loads(row.arguments),
            row.queue,
            row.catch_up,
            datetime.fromtimestamp(row.through, UTC),
        )
        for row in store.rows(sa.select(SCHEDULES).order_by(SCHEDULES.c.name))
    ]


def tick(store: Store, now: datetime) -> list[str]:
    """Submit a job for each due time up to now that nobody dealt with, and return the ids.

    Several workers may do this at once, and one may die in the middle: the keys make one job of each due time.
    Where one schedule cannot be followed the others are, and its error is raised after that.
    """
    submitted: list[str] = []
    faults: list[Exception] = []
    for schedule in schedules(store):
        try:
            submitted += _submit_due(store, schedule, now)
        except Exception as error:  # of one schedule: a zone that an update of the time zones took away
            faults.append(error)
    if faults:
        raise faults[0]
    return submitted


def due_times(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the due times t, after < t <= until, in the zone's own time. They do not depend on where one starts."""
    local = ZoneInfo(zone)
    first, last = (time.astimezone(local).replace(tzinfo=None) for time in (after - LEAP, until + LEAP))
    walls = croniter(cron, first, ret_type=datetime)
    hourly = croniter.expand(cron)[0][1] == ["*"]
    times = set()
    while (wall := walls.get_next()) <= last:
        early, late = (wall.replace(tzinfo=local, fold=fold).astimezone(UTC) for fold in (0, 1))
        times.add(early)
        if hourly and early < late:  # it comes twice
            times.add(late)
    return [time.astimezone(local) for time in sorted(times) if after < time <= until]


def next_due(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the first due time that nobody has dealt with yet and that lies ahead; None where none comes soon."""
    start = max(now, schedule.through)
    span = timedelta(hours=1)
    while span < LONGEST:
        times = due_times(schedule.cron, schedule.zone, start, start + span)
        if times:
            return times[0]
        span *= 4
    return None


def _submit_due(store: Store, schedule: Schedule, now: datetime) -> list[str]:
    due = _due(schedule, now)
    submitted = []
    for time in due:
        arguments = {**schedule.arguments, "due": time.isoformat()}
        key = f"{schedule.name}@{time.isoformat()}"
        submitted.append(submit(store, schedule.job, arguments, key=key, queue=schedule.queue))
    if due:
        last = due[-1].timestamp()
        row = sa.update(SCHEDULES).where(SCHEDULES.c.name == schedule.name, SCHEDULES.c.through < last)
        store.change(row.values(through=last))
    return submitted


def _due(schedule: Schedule, now: datetime) -> list[datetime]:
    """Return the due times that are on time, and before them the latest missed ones, as many as may be made up."""
    span = timedelta(hours=1)
    # further and further back: after a year without a worker nobody counts all its minutes
    while True:
        start = max(schedule.through, now - span)
        times = due_times(schedule.cron, schedule.zone, start, now)
        missed = [time for time in times if time < now - ON_TIME]
        if start == schedule.through or len(missed) >= schedule.catch_up:
            return missed[len(missed) - schedule.catch_up :] + times[len(missed) :]
        span *= 4


def _check_times(cron: str, zone: str, now: datetime) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):  # an unknown name, a path, a folder of the database
        raise SCHEDULE("schedule_zone", zone=quoted(zone)) from None
    fields = cron.split()
    try:
        if len(fields) != 5 or any(_RANDOM.match(field) for field in fields):
            raise CroniterError
        croniter(cron, now).get_next()
    except CroniterError:
        raise SCHEDULE("schedule_cron", cron=quoted(cron)) from None
