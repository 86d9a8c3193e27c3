"""How fast images come out of the engine, for an estimate of when a full queue has a free slot again."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHARE = 0.2  # of the newest in the running mean of seconds between two images


class Throughput:
    """Running mean of the seconds between two finished images; a time in which none was waited for does not count.

    clock: seconds, as those of `Job.submitted`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_end = clock()
        self._between_s: float | None = None

    def finished(self, submitted: float) -> None:
        """Count an image that is done now. submitted: when it was."""
        now = self._clock()
        between = now - max(self._last_end, submitted)
        self._last_end = now
        if self._between_s is None:
            self._between_s = between
        else:
            self._between_s += _SHARE * (between - self._between_s)

    def seconds_for(self, images: float) -> float:
        """Return about how many seconds so many images take, at least 1; a second each where none is finished yet."""
        return max(1.0, (self._between_s or 1.0) * images)
