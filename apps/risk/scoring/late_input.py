"""A scheduled scoring waits for input that is late: missing, empty, away, or too old; then it fails and says why."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import TypeVar

from apps.risk.reasons import INPUTS, InputAwaited
from core.jobs.context import pause
from core.runs.log import RunLog

PAUSE_S = 60.0
T = TypeVar("T")


def when_input_is_there(
    work: Callable[[], T],
    due: str,
    wait_h: float,
    log: RunLog,
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> T:
    """Call `work` until its input is there, every PAUSE_S, and return its result.

    `work` raises InputAwaited where its input is not there. due: ISO 8601 with offset. Raises InputError `input_late`
    once wait_h hours have passed since the due time, by the clock, or since this began, should the clock be set back;
    other errors at once.
    """
    deadline = datetime.datetime.fromisoformat(due) + datetime.timedelta(hours=wait_h)
    end = time.monotonic() + 3600 * wait_h
    while True:
        try:
            return work()
        except InputAwaited as error:
            left = min((deadline - clock()).total_seconds(), end - time.monotonic())
            if left <= 0:
                raise INPUTS(
                    "input_late",
                    sentence=error.sentence,
                    due=due,
                    until=deadline.isoformat(timespec="minutes"),
                    wait_h=wait_h,
                ) from None
            log.event("input_awaited", code=error.code)
        pause(min(PAUSE_S, left))
