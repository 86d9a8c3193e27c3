"""Who may work now: a bounded number of units, in the order of asking; the rest hears when to come back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType

from prometheus_client import Counter, Gauge

from core.serving.errors import ServiceError, too_busy
from core.serving.metrics import Metrics

_WEIGHT = 0.2  # of the newest service time in the running mean
_LONGEST_S = 3600.0


class Admission:
    """Units of work under way (at most `limit`) and waiting (at most `waiting`), first come, first served.

    A request takes n units; one that asks for more than are free waits, and nobody overtakes it. usual_s: seconds
    a request is thought to take until one has ended. All calls come from one event loop.
    """

    def __init__(
        self, limit: int, *, metrics: Metrics, name: str = "work", waiting: int = 0, usual_s: float = 1.0
    ) -> None:
        self.limit = limit
        self.waiting = waiting
        self._mean_s = usual_s
        self._measured = False
        self._in_use = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        registry = metrics.registry
        in_use = Gauge(f"{name}_units_in_use", "Units of work under way.", registry=registry)
        in_use.set_function(lambda: self._in_use)
        queued = Gauge(f"{name}_units_waiting", "Units of work that wait.", registry=registry)
        queued.set_function(lambda: self.queued)
        self._refused = Counter(
            f"{name}_refused", "Requests refused because too many wait.", registry=registry
        )

    @property
    def in_use(self) -> int:
        """Units under way."""
        return self._in_use

    @property
    def queued(self) -> int:
        """Units that wait."""
        return sum(units for units, _ in self._queue)

    def slot(self, units: int = 1) -> _Slot:
        """Return a context that holds the units: `async with admission.slot(2): …`."""
        return _Slot(self, units)

    async def take(self, units: int = 1) -> Ticket:
        """Return a ticket for the units, waiting for them if need be; whoever has it must release it.

        Raises ServiceError: 429 with Retry-After when too many wait, 400 for more units than there are at all.
        """
        if not 1 <= units <= self.limit:
            sentence = f"one request may ask for 1 to {self.limit} at once, not {units}"
            raise ServiceError(400, "too_many_at_once", sentence)
        if self._queue or self._in_use + units > self.limit:
            await self._wait(units)
        else:
            self._in_use += units
        return Ticket(self, units)

    def retry_after_s(self, units: int = 1) -> float:
        """Return in how many seconds that many units should be free: mean service time × what is ahead ÷ limit."""
        ahead = self._in_use + self.queued + units
        return min(_LONGEST_S, self._mean_s * max(0, ahead - self.limit) / self.limit)

    async def _wait(self, units: int) -> None:
        if self.queued + units > self.waiting:
            self._refused.inc()
            raise too_busy("too much waits already", self.retry_after_s(units))
        entry = (units, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._queue:
                self._queue.remove(entry)
            else:  # the units came in the same moment
                self._in_use -= units
            self._admit()
            raise

    def _release(self, units: int, seconds: float | None) -> None:
        self._in_use -= units
        if seconds is not None:
            weight = _WEIGHT if self._measured else 1.0
            self._mean_s += weight * (seconds - self._mean_s)
            self._measured = True
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._in_use + self._queue[0][0] <= self.limit:
            units, turn = self._queue.popleft()
            self._in_use += units
            turn.set_result(None)


class Ticket:
    """Units held from now on; `release` gives them back, once however often it is called."""

    def __init__(self, admission: Admission, units: int) -> None:
        self._admission: Admission | None = admission
        self._units = units
        self._since = time.monotonic()

    def release(self, *, completed: bool = True) -> None:
        """Give the units back; only work that was completed counts for the mean service time."""
        if self._admission is not None:
            admission, self._admission = self._admission, None
            admission._release(self._units, time.monotonic() - self._since if completed else None)


class _Slot:
    def __init__(self, admission: Admission, units: int) -> None:
        self._admission = admission
        self._units = units

    async def __aenter__(self) -> Ticket:
        self._ticket = await self._admission.take(self._units)
        return self._ticket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticket.release(completed=kind is None)
