"""Settings of the job queue, the same for every app; free of SQLAlchemy and DBOS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from core.jobs.reasons import JOB, WORKER
from core.settings.credentials import refuse_password
from core.settings.schema import Section, path_text, setting
from core.text.quoting import quoted

DEFAULT_QUEUE = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass
class JobsConfig(Section):
    """Where the jobs are kept, and how a worker works on them."""

    where: ClassVar[str] = "jobs"

    database: str | None = path_text(
        None, "SQLite file, or postgresql:// URL; else $TRIPTYCH_JOBS, else a file in the user's state folder"
    )
    queues: list[str] = setting([DEFAULT_QUEUE], "queues that the worker serves")
    concurrency: int = setting(1, "jobs at once in each worker of these queues", unit="jobs", low=1)
    concurrency_total: int | None = setting(
        None,
        "jobs at once of each queue in all its workers together; the worker started last decides",
        unit="jobs",
        low=1,
    )
    attempts: int = setting(3, "maximum attempts before a fault is final", unit="attempts", low=1)
    pause_s: float = setting(
        2.0,
        "longest back-off before the second attempt, doubled for each further one; half of it or more is waited",
        unit="s",
        low=0,
    )
    takeovers: int = setting(20, "maximum worker crashes per job", unit="crashes", low=0)
    poll_s: float = setting(0.1, "poll interval for waiting jobs", unit="s", low=0.01, high=60)
    beat_s: float = setting(2.0, "heartbeat interval", unit="s", low=0.05, high=60)
    dead_after_s: float = setting(
        30.0, "heartbeat time-out, after which a worker counts as dead", unit="s", low=0.2
    )
    grace_s: float = setting(8.0, "grace period of running jobs at a stop", unit="s", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for queue in self.queues:
            check_name("queue", queue)
        refuse_password(
            "jobs.database",
            self.database,
            "put the whole URL into $TRIPTYCH_JOBS, or the password into ~/.pgpass",
        )
        if self.concurrency_total is not None and self.concurrency > self.concurrency_total:
            raise WORKER(
                "jobs_concurrency", concurrency=self.concurrency, concurrency_total=self.concurrency_total
            )
        if self.dead_after_s < 3 * self.beat_s:
            raise WORKER("jobs_dead_after", dead_after=self.dead_after_s, beat=self.beat_s)


def check_name(kind: str, name: str) -> str:
    """Return the name of a job, queue or schedule if it may stand in logs and keys; else raise InputError."""
    if not _NAME.fullmatch(name):
        raise JOB("jobs_name", name=quoted(name), kind=kind)
    return name
