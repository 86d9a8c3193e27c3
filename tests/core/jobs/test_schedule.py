"""Due times against a walk over every minute, the days on which summer time begins and ends, and catching up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.jobs.queue import job, jobs
from core.jobs.schedule import due_times, next_due, register, remove, schedules, tick
from core.jobs.store import SCHEDULES, Store

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# Changes of the clock (tz database 2026): an hour ahead and back, half an hour, two hours, a whole day left out.
CHANGES = [
    ("Europe/Zurich", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Zurich", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
]


def walk(
    minutes: set[int], hours: set[int] | None, zone: str, after: datetime, until: datetime
) -> list[datetime]:
    """Due times by a walk along the wall clock, minute by minute; hours None: every hour."""
    times, before = set(), None
    time = (after - 26 * HOUR).replace(second=0, microsecond=0)
    while time <= until:
        local = time.astimezone(ZoneInfo(zone))
        wall = local.replace(tzinfo=None, fold=0)
        if wall.minute in minutes and (hours is None or (wall.hour in hours and not local.fold)):
            times.add(time)
        leapt = None if before is None else before + MINUTE
        while leapt is not None and leapt < wall:
            if leapt.minute in minutes and (hours is None or leapt.hour in hours):
                times.add(time + (leapt - before - MINUTE))
            leapt += MINUTE
        before = wall
        time += MINUTE
    return sorted(time for time in times if after < time <= until)


@settings(max_examples=60, deadline=None)
@example(CHANGES[5], {29, 30}, None, 2, 0)  # what croniter by itself would miss
@given(
    st.sampled_from(CHANGES),
    st.sets(st.sampled_from([0, 1, 15, 29, 30, 31, 59]), min_size=1, max_size=3),
    st.none() | st.sets(st.sampled_from([0, 1, 2, 3, 23]), min_size=1, max_size=3),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_due_times_are_those_of_the_wall_clock(
    change: tuple[str, datetime], minutes: set[int], hours: set[int] | None, before: int, behind: int
) -> None:
    zone, moment = change
    fields = [
        ",".join(map(str, sorted(minutes))),
        "*" if hours is None else ",".join(map(str, sorted(hours))),
    ]
    after, until = moment - before * MINUTE, moment + behind * MINUTE
    due = [time.astimezone(UTC) for time in due_times(" ".join([*fields, "* * *"]), zone, after, until)]
    assert due == walk(minutes, hours, zone, after, until)


@pytest.mark.parametrize(
    ("cron", "day", "wanted"),
    [
        # 2026-03-29 in Zurich: 02:00+01:00 turns into 03:00+02:00
        ("30 2 * * *", "2026-03-29", ["03:30+02:00"]),
        ("0,30 2 * * *", "2026-03-29", ["03:00+02:00", "03:30+02:00"]),
        ("30 1-3 * * *", "2026-03-29", ["01:30+01:00", "03:30+02:00"]),
        ("20 * * * *", "2026-03-29", ["00:20+01:00", "01:20+01:00", "03:20+02:00", "04:20+02:00"]),
        # 2026-10-25: 03:00+02:00 turns into 02:00+01:00
        ("30 2 * * *", "2026-10-25", ["02:30+02:00"]),
        ("0 */2 * * *", "2026-10-25", ["00:00+02:00", "02:00+02:00", "04:00+01:00"]),
        (
            "20 * * * *",
            "2026-10-25",
            ["00:20+02:00", "01:20+02:00", "02:20+02:00", "02:20+01:00", "03:20+01:00"],
        ),
        (
            "20 */1 * * *",
            "2026-10-25",
            ["00:20+02:00", "01:20+02:00", "02:20+02:00", "02:20+01:00", "03:20+01:00"],
        ),
    ],
)
def test_the_days_on_which_the_clock_changes(cron: str, day: str, wanted: list[str]) -> None:
    midnight = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo("Europe/Zurich"))
    times = due_times(cron, "Europe/Zurich", midnight - MINUTE, midnight.astimezone(UTC) + 5 * HOUR)
    shown = [time.isoformat(timespec="minutes").removeprefix(f"{day}T") for time in times]
    assert [text for text in shown if text < "04:30"] == wanted


FRIDAY = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def keys(store: Store) -> list[str]:
    return sorted(str(job(store, one.id).key) for one in jobs(store))


@pytest.mark.slow
def test_three_due_times_give_three_jobs(store: Store, tmp_path: Path) -> None:
    register(store, "nightly", "0 6 * * 1-5", "Europe/Zurich", "score", {"data": "x"}, now=FRIDAY)
    with Store(str(tmp_path / "jobs.sqlite")) as other:
        moment, submitted = FRIDAY, []
        while moment < FRIDAY + 5 * DAY:  # to Wednesday, two workers tick every three hours
            moment += 3 * HOUR
            submitted += tick(store, moment)
            tick(other, moment)
    assert len(submitted) == 3
    assert keys(store) == [f"nightly@2026-01-0{day}T06:00:00+01:00" for day in (5, 6, 7)]
    first = job(store, submitted[0])
    assert (first.name, first.queue) == ("score", "default")
    assert first.arguments == {"data": "x", "due": "2026-01-05T06:00:00+01:00"}
    assert schedules(store)[0].through == datetime(2026, 1, 7, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("catch_up", "days"), [(0, []), (1, [20]), (3, [18, 19, 20]), (99, list(range(3, 21)))]
)
def test_what_was_missed_is_made_up_for_with_a_bound(store: Store, catch_up: int, days: list[int]) -> None:
    register(store, "daily", "0 6 * * *", "UTC", "score", catch_up=catch_up, queue="night", now=FRIDAY)
    back = datetime(2026, 1, 20, 15, 0, tzinfo=UTC)
    tick(store, back)
    tick(store, back + MINUTE)
    assert keys(store) == [f"daily@2026-01-{day:02}T06:00:00+00:00" for day in days]
    tick(store, back + DAY)
    tick(store, datetime(2026, 1, 22, 6, 0, 2, tzinfo=UTC))  # on time: never dropped
    late = ["21"] if catch_up else []
    assert keys(store) == [f"daily@2026-01-{day:02}T06:00:00+00:00" for day in days] + [
        f"daily@2026-01-{day}T06:00:00+00:00" for day in (*late, "22")
    ]
    assert {one.queue for one in jobs(store)} == {"night"}


def test_a_year_of_missed_minutes_costs_no_time(store: Store) -> None:
    register(store, "often", "* * * * *", "Europe/Zurich", "score", catch_up=2, now=FRIDAY)
    back = FRIDAY.replace(year=2027)
    times = [
        datetime.fromisoformat(key.removeprefix("often@")) for key in (tick(store, back), keys(store))[1]
    ]
    # the due time itself and the five minutes before it are on time
    assert times == [back - minutes * MINUTE for minutes in range(7, -1, -1)]


@pytest.mark.parametrize(
    ("cron", "through", "comes"),
    [
        ("0 6 * * *", "2026-03-01T00:00", "2026-03-02T06:00"),
        ("30 12 * * *", "2026-03-01T00:00", "2026-03-01T12:30"),
        ("0 6 * * *", "2026-03-05T06:00", "2026-03-06T06:00"),  # the clock was set back since
        ("0 0 29 2 *", "2026-03-01T00:00", "2028-02-29T00:00"),
    ],
)
def test_the_next_due_time_is_the_first_that_nobody_has_dealt_with(
    cron: str, through: str, comes: str, store: Store
) -> None:
    register(store, "s", cron, "UTC", "add", now=datetime.fromisoformat(f"{through}+00:00"))
    (schedule,) = schedules(store)
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert next_due(schedule, now) == datetime.fromisoformat(f"{comes}+00:00")


def test_a_worker_that_dies_before_it_takes_note_makes_no_second_job(store: Store) -> None:
    register(store, "daily", "0 6 * * *", "UTC", "score", now=FRIDAY)
    back = FRIDAY + DAY
    first = tick(store, back)
    remove(store, "daily")
    register(store, "daily", "0 6 * * *", "UTC", "score", now=FRIDAY)
    assert tick(store, back) == first
    assert len(jobs(store)) == 1


def test_a_schedule_that_cannot_be_followed_does_not_hold_up_the_others(store: Store) -> None:
    for name in ("a", "b", "c"):
        register(store, name, "0 6 * * *", "UTC", "score", now=FRIDAY)
    store.change(sa.update(SCHEDULES).where(SCHEDULES.c.name == "b").values(zone="Atlantis/Capital"))
    with pytest.raises(ZoneInfoNotFoundError, match="Atlantis/Capital"):
        tick(store, FRIDAY + DAY)
    assert keys(store) == [f"{name}@2026-01-03T06:00:00+00:00" for name in ("a", "c")]


def test_registering_again_changes_and_keeps_what_was_missed(store: Store) -> None:
    register(store, "daily", "0 6 * * *", "UTC", "score", {"a": 1}, now=FRIDAY)
    register(store, "daily", "0 6 * * *", "UTC", "score", {"a": 2}, catch_up=5, now=FRIDAY + 3 * DAY)
    (schedule,) = schedules(store)
    assert (schedule.arguments, schedule.catch_up, schedule.through) == ({"a": 2}, 5, FRIDAY)
    register(store, "daily", "0 7 * * *", "UTC", "score", {"a": 2}, now=FRIDAY + 3 * DAY)
    assert schedules(store)[0].through == FRIDAY + 3 * DAY
    remove(store, "daily")
    assert schedules(store) == []
    with pytest.raises(
        InputError, match='no schedule is named "daily": `triptych-jobs list schedules` shows'
    ):
        remove(store, "daily")


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "0 6 * *",
        "0 6 * * * *",
        "60 6 * * *",
        "@daily",
        "R 6 * * *",
        "0 h(1-5) * * *",
        "0 0 31 2 *",
        "a b c d e",
    ],
)
def test_a_cron_that_never_comes_due_is_refused(store: Store, cron: str) -> None:
    with pytest.raises(
        InputError, match="is not a cron schedule that ever comes due: write minute, hour, day, month"
    ):
        register(store, "daily", cron, "UTC", "score")
    assert schedules(store) == []


@pytest.mark.parametrize("zone", ["Zurich", "", "../etc/passwd", "Europe", "CET+1"])
def test_an_unknown_zone_is_refused(store: Store, zone: str) -> None:
    with pytest.raises(InputError, match="is not a time zone: use an IANA name such as Europe/Zurich or UTC"):
        register(store, "daily", "0 6 * * *", zone, "score")


def test_other_faults_of_a_schedule_are_refused(store: Store) -> None:
    with pytest.raises(InputError, match=r"catch_up is -1, wanted 0 \(make up for nothing\) or more"):
        register(store, "daily", "0 6 * * *", "UTC", "score", catch_up=-1)
    with pytest.raises(InputError, match='"a@b" cannot name a schedule'):
        register(store, "a@b", "0 6 * * *", "UTC", "score")
    with pytest.raises(InputError, match="the arguments of job score are not plain JSON"):
        register(store, "daily", "0 6 * * *", "UTC", "score", {"path": Path("x")})
