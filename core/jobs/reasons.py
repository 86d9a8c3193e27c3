"""Why a job, a schedule or the database of jobs is refused, and why a job failed."""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault
from core.reasons import Reasons


class DatabaseAway(InputError):
    """The database of jobs cannot be opened or does not answer; a job that meets this is tried again."""


WORKER = Reasons(
    ConfigError,
    "The settings of a worker",
    {
        "jobs_concurrency": (
            "jobs.concurrency={concurrency} is more than jobs.concurrency_total={concurrency_total}, which all workers "
            "share: give a worker as many at most"
        ),
        "jobs_dead_after": (
            "jobs.dead_after_s={dead_after:g} is too short: a worker sends a heartbeat every {beat:g} s "
            "(jobs.beat_s); wait at least three times as long"
        ),
    },
)

DATABASE = Reasons(
    InputError,
    "The database of jobs",
    {
        "jobs_database": (
            "the database of jobs is neither a file nor a URL like postgresql://user@host/name or "
            "postgresql:///name?service=desk: fix jobs.database"
        ),
    },
)

DATABASE_AWAY = Reasons(
    DatabaseAway,
    "The database of jobs, for a while",
    {
        "jobs_database_away": (
            "the database of jobs at {position} does not work ({cause}): check that it is there, runs, has room, "
            "and may be read and written"
        ),
    },
)

JOB = Reasons(
    InputError,
    "A job",
    {
        "jobs_name": "{name} cannot name a {kind}: use 1 to 64 of a-z, 0-9, dot, hyphen and underscore",
        "job_arguments": (
            "the arguments of job {name} are not plain JSON: use text, finite numbers, true, false, null, lists "
            "and objects with text keys"
        ),
        "job_deadline": "the deadline of job {name} has no time zone: give a time with its offset",
        "job_expired": "it was not done by its deadline, {deadline}: `triptych-jobs requeue` runs it without one",
        "job_unknown": "no job has an id that begins with {id}: `triptych-jobs list` shows those that there are",
        "job_ambiguous": "several jobs have ids that begin with {id}: give more digits",
        "job_ended": "job {id} is {state}: only one that waits or runs can be cancelled",
        "job_not_ended": "job {id} is {state} already: cancel it first to start it anew",
        "job_not_registered": "this worker has no job named {name}; it has: {known}",
    },
)

SCHEDULE = Reasons(
    InputError,
    "A schedule",
    {
        "schedule_catch_up": "catch_up is {catch_up}, wanted 0 (make up for nothing) or more",
        "schedule_unknown": "no schedule is named {name}: `triptych-jobs list schedules` shows all",
        "schedule_zone": "{zone} is not a time zone: use an IANA name such as Europe/Zurich or UTC",
        "schedule_cron": (
            "{cron} is not a cron schedule that ever comes due: write minute, hour, day, month and day of the "
            "week, such as '0 6 * * 1-5' for 06:00 from Monday to Friday"
        ),
    },
)

FAULTS = Reasons(
    InternalFault,
    "A job that ran into a defect",
    {
        "fault": "internal fault: {what}",
        "job_result": "the job returned something that is not plain JSON",
        "lost_too_often": "its worker died {times} times while it ran",
        "worker_second": "one process can run one worker at a time",
    },
)

ENDED = Reasons(
    InputError,
    "Part of the input of a job that is done",
    {"quarantined": "it is done, and some inputs were set aside: its output lists them"},
)
