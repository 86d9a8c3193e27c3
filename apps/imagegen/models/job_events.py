"""Events of jobs, for the listener of each job and the observer of the engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from apps.imagegen.errors import Cancelled
from apps.imagegen.models.job import Event, Job, Kind
from apps.imagegen.reasons import DRAWING
from core.errors import TriptychError

_log = logging.getLogger(__name__)


class JobEvents:
    """Sends events, in the caller's thread. observe: gets every event of every job; its faults disturb nobody."""

    def __init__(self, observe: Callable[[Event], None] | None = None) -> None:
        self._observe = observe

    def send(
        self,
        job: Job,
        kind: Kind,
        step: int,
        steps: int,
        *,
        rgb_HWC: np.ndarray | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Send one event. Raises what the job's own listener raises."""
        event = Event(job, kind, step, steps, time.monotonic() - job.submitted, rgb_HWC, error)
        if self._observe is not None:
            try:
                self._observe(event)
            except Exception as fault:
                _log.error("the observer of the engine failed: %s", type(fault).__name__)
        if job.on_event is not None:
            job.on_event(event)

    def finish(self, job: Job, rgb_HWC: np.ndarray | None, error: Exception | None, steps: int = 0) -> bool:
        """Send a job's last event and let its result be had; return whether that is an image.

        An error of ours becomes drawing_failed, which names its type only: its words may quote a prompt. A listener
        that fails here fails its own job.
        """
        if error is not None and not isinstance(error, TriptychError):
            fault = DRAWING("drawing_failed", type=type(error).__name__)
            fault.__cause__ = error
            error = fault
        kind: Kind = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        try:
            self.send(job, kind, steps, steps, rgb_HWC=rgb_HWC, error=error)
        except Exception as failure:
            error = error or failure
        job.end(rgb_HWC, error)
        return error is None
