"""Processes of one model behind one queue: what dies is started again, what hangs is ended, what waits is bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import Any

from core.errors import TriptychError
from core.runs.log import RunLog
from core.serving.messages import Message
from core.serving.model_process import ModelFaultError, ModelProcess, ModelSource, ProcessEndedError
from core.serving.reasons import MODEL, STATE

# Seconds before a process is started again, by how often it ended since it last answered: one that loads its model
# and ends at a request has the first three at most.
_BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_LOADS = 2
_RETRY_AFTER = {"Retry-After": "1"}


class _Job:
    """A message on its way. ended: how many processes ended with it."""

    def __init__(self, message: Message, *, repeatable: bool, ended: int) -> None:
        self.message, self.repeatable, self.ended = message, repeatable, ended
        self.answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def refuse(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Slot:
    """Where a process of the model is, or will be.

    ends: how many ended since one answered. failed: whether the last one did not load its model.
    """

    def __init__(self, process: ModelProcess) -> None:
        self.process: ModelProcess | None = process
        self.ends = 0
        self.failed = False


class ModelPool:
    """One or several processes of one model.

    processes: how many. waiting: how many messages may wait beside those under way. timeout_s: of one message, without
    its time in the queue. start_s: for a process to load its model. log: gets a line for each end and start, by
    `name`.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        processes: int = 1,
        waiting: int = 64,
        timeout_s: float = 60.0,
        start_s: float = 300.0,
        name: str = "model",
        log: RunLog | None = None,
    ) -> None:
        self.source, self.processes, self.waiting = source, processes, waiting
        self.restarts = 0
        self._timeout_s, self._start_s, self._name, self._log = timeout_s, start_s, name, log
        self._slots: list[_Slot] = []
        self._idle: list[_Slot] = []
        self._jobs: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the processes; return once each has its model. Raises as ModelProcess.start does."""
        starting = [
            asyncio.create_task(ModelProcess.start(self.source, self._start_s)) for _ in range(self.processes)
        ]
        try:
            started = await asyncio.gather(*starting)
        except BaseException:
            await self._abandon(starting)
            raise
        self._slots = [_Slot(process) for process in started]
        for slot in self._slots:
            self._rest(slot)

    @property
    def about(self) -> dict[str, Any]:
        """What the model says of itself."""
        running = next((slot.process for slot in self._slots if slot.process is not None), None)
        return dict(running.about) if running is not None else {}

    @property
    def queued(self) -> int:
        """How many messages wait for a process."""
        return len(self._jobs)

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [slot.process.pid for slot in self._slots if slot.process is not None]

    def unready(self) -> str | None:
        """Return why no message could be answered now; None where one could."""
        if self._closed or not self._slots:
            return "the model is not loaded"
        if not self.pids:
            return "the process of the model ended and is started again"
        return None

    async def call(self, message: Message, *, repeatable: bool = True, ended: int = 0) -> Message:
        """Return the model's answer. repeatable: whether it may be asked again after the death of its process.

        ended: how many processes ended with it before: the second is the last. A cancelled message leaves the queue;
        one that is under way is still answered, to nobody. Raises the model's own errors, and ServiceError: model_busy,
        model_restarting, model_ended, model_ended_twice, model_timeout, model_fault.
        """
        if self._closed:
            raise STATE("shutting_down", headers=_RETRY_AFTER)
        if not self._idle and len(self._jobs) >= self.waiting:
            raise MODEL("model_busy", waiting=self.waiting, headers=_RETRY_AFTER)
        if self._hopeless():
            raise MODEL("model_restarting", headers=_RETRY_AFTER)
        job = _Job(message, repeatable=repeatable, ended=ended)
        self._jobs.append(job)
        self._dispatch()
        try:
            return await job.answer
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._jobs.remove(job)
            raise

    async def close(self) -> None:
        """End the processes: idle ones in order, others at once."""
        self._closed = True
        for job in self._jobs:
            job.refuse(STATE("shutting_down", headers=_RETRY_AFTER))
        self._jobs.clear()
        idle = [slot.process for slot in self._idle if slot.process is not None]
        self._idle = []
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(process.close() for process in idle), return_exceptions=True)

    def _dispatch(self) -> None:
        while self._jobs and self._idle:
            self._begin(self._run(self._idle.pop(), self._jobs.popleft()))

    def _rest(self, slot: _Slot) -> None:
        """Let a slot wait for the next message, or for the end of its process."""
        assert slot.process is not None
        slot.process.on_end = lambda: self._found_ended(slot)
        self._idle.append(slot)
        self._dispatch()

    def _found_ended(self, slot: _Slot) -> None:
        self._idle.remove(slot)
        self._begin(self._restart(slot))

    async def _run(self, slot: _Slot, job: _Job) -> None:
        """Have one job done."""
        process = slot.process
        assert process is not None
        try:
            answer = await process.call(job.message, self._timeout_s)
        except ProcessEndedError as error:
            self._begin(self._restart(slot, error.how))
            self._after_end(job)
            return
        except TimeoutError:
            job.refuse(MODEL("model_timeout", seconds=self._timeout_s))
            self._begin(self._restart(slot, "time-out"))
            return
        except asyncio.CancelledError:
            job.refuse(STATE("shutting_down", headers=_RETRY_AFTER))
            await process.kill()
            raise
        except ModelFaultError as error:
            self._event("model_fault", type=error.type, frames=error.frames)
            job.refuse(MODEL("model_fault", type=error.type))
        except TriptychError as error:
            job.refuse(error)
        else:
            slot.ends = 0
            if not job.answer.done():
                job.answer.set_result(answer)
        self._rest(slot)

    def _after_end(self, job: _Job) -> None:
        """Ask once more what may be repeated; what took two processes with it never comes to a third."""
        job.ended += 1
        if job.ended > 1:
            job.refuse(MODEL("model_ended_twice"))
        elif not job.repeatable:
            job.refuse(MODEL("model_ended", headers=_RETRY_AFTER))
        elif not job.answer.done():
            self._jobs.appendleft(job)
            self._dispatch()

    async def _restart(self, slot: _Slot, how: str = "") -> None:
        """Start the process of a slot again, and again, with longer and longer pauses, until its model is loaded."""
        ended, slot.process = slot.process, None
        if ended is not None and not how:
            how = await ended.kill()
        self._event("model_ended", code=how.replace(" ", "-"), count=slot.ends)
        while True:
            most = len(_BACK_OFF_S) - 1 if slot.failed else _LOADS
            await asyncio.sleep(_BACK_OFF_S[min(slot.ends, most)])
            slot.ends += 1
            try:
                slot.process = await ModelProcess.start(self.source, self._start_s)
            except TriptychError as error:
                self._event("model_not_started", code=error.code, count=slot.ends)
                slot.failed = True
                self._refuse_hopeless()
                continue
            slot.failed = False
            self.restarts += 1
            self._event("model_started", count=self.restarts)
            self._rest(slot)
            return

    def _hopeless(self) -> bool:
        """Whether no process runs, and none could be started: then requests are refused instead of waiting."""
        return not self.pids and all(slot.failed for slot in self._slots)

    def _refuse_hopeless(self) -> None:
        if self._hopeless():
            for job in self._jobs:
                job.refuse(MODEL("model_restarting", headers=_RETRY_AFTER))
            self._jobs.clear()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _abandon(self, starting: list[asyncio.Task[ModelProcess]]) -> None:
        for task in starting:
            task.cancel()
        done = await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(*(one.kill() for one in done if isinstance(one, ModelProcess)))

    def _event(self, name: str, /, **fields: Any) -> None:
        if self._log is not None:
            with contextlib.suppress(TriptychError):  # a full disk must not end the service
                self._log.event(name, name=self._name, **fields)
