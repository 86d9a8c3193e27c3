"""Let a worker look for its next job as soon as one has ended, not at its next poll.

DBOS waits a whole poll interval between two looks at a queue, also where jobs wait: with one job at once the interval
would be added to every job. A shorter interval would make idle workers busy. What DBOS waits on is an event that is set
at the end (`background_thread_stop_events`, which it does not publish); its `wait` gets to end early here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

FIRST_S = 0.004  # after the end of a job: it is still writing its outcome
EAGER_S = 0.25  # for so long the next looks follow each other sooner
_THREADS = "queue-worker-"  # how DBOS names the threads that look at queues; its own queue begins with "_"


class Wake:
    """What the threads that look at queues wait on, once it is attached."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Condition()
        self._ended = -EAGER_S

    def job_ended(self) -> None:
        """Let the queues be looked at in a moment."""
        with self._turn:
            self._ended = self._clock()
            self._turn.notify_all()

    def attach(self, events: Iterable[threading.Event]) -> None:
        """Let waits on these events end early."""
        for event in events:
            self._attach(event)

    def _attach(self, event: threading.Event) -> None:
        plain_wait, plain_set = event.wait, event.set

        def wait(timeout: float | None = None) -> bool:
            name = threading.current_thread().name
            if timeout is None or not name.startswith(_THREADS) or name.startswith(f"{_THREADS}_"):
                return plain_wait(timeout)
            self._wait(event, timeout)
            return event.is_set()

        def set_and_tell() -> None:
            plain_set()
            with self._turn:
                self._turn.notify_all()

        changed: Any = event
        changed.wait, changed.set = wait, set_and_tell

    def _wait(self, event: threading.Event, timeout: float) -> None:
        with self._turn:
            seen = self._ended
            since = self._clock() - seen
            if since < EAGER_S:  # the slot was not free yet, or the queue was empty: look at 4, 8, 16, … ms
                timeout = min(timeout, max(FIRST_S, since))
            self._turn.wait_for(lambda: event.is_set() or self._ended != seen, timeout)
            if self._ended != seen:
                self._turn.wait_for(event.is_set, FIRST_S)
