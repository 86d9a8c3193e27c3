"""Requests that wait together are computed together: joined along their rows, and the answer divided again.

Only where a row's result does not depend on the others. Nothing waits for company while a process is idle, beyond the
time that is allowed for it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import TriptychError
from core.serving.messages import Message
from core.serving.model_pool import ModelPool
from core.serving.reasons import MODEL

RETRY_AFTER = {"Retry-After": "1"}
# After these no request of a batch would fare better alone.
_FINAL = ("shutting_down", "model_restarting")


@dataclass(frozen=True)
class Rows:
    """Where the rows of a message lie. inputs, outputs: array → dimension. most: rows of one message."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    most: int


class _Waiting:
    """A request that waits. rows: how many it has. key: what requests of one batch have in common."""

    def __init__(self, message: Message, rows: Rows | None) -> None:
        loop = asyncio.get_running_loop()
        self.message, self.arrived = message, loop.time()
        self.answer: asyncio.Future[Message] = loop.create_future()
        self.rows = _count(message, rows) if rows is not None else 0
        self.key = _key(message, rows) if rows is not None else ()

    def settle(self, answer: Message) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def refuse(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """The queue in front of a pool, which joins what may be computed together.

    rows: None where nothing may. most: rows of a batch. wait_s: how long the first request of a batch waits for
    others while a process is idle. waiting: how many requests may wait. observe: gets the rows of each batch.
    """

    def __init__(
        self,
        pool: ModelPool,
        rows: Rows | None,
        *,
        most: int,
        wait_s: float,
        waiting: int,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        self._pool, self._rows = pool, rows
        self._most = min(most, rows.most) if rows is not None else 1
        self._wait_s, self._most_waiting, self._observe = wait_s, waiting, observe
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many batches are under way."""
        return len(self._tasks)

    async def call(self, message: Message) -> Message:
        """Return the answer to a message, whose inputs were checked before.

        A cancelled one leaves the queue, and harms no other of its batch. Raises as ModelPool.call does.
        """
        if len(self._waiting) >= self._most_waiting and len(self._tasks) >= self._pool.processes:
            raise MODEL("model_busy", waiting=self._most_waiting, headers=RETRY_AFTER)
        one = _Waiting(message, self._rows)
        self._waiting.append(one)
        self._schedule()
        try:
            return await one.answer
        finally:
            if one in self._waiting:
                self._waiting.remove(one)

    def _schedule(self) -> None:
        """Begin as many batches as there are idle processes."""
        while self._waiting and len(self._tasks) < self._pool.processes:
            batch = self._gathered()
            left = batch[0].arrived + self._wait_s - asyncio.get_running_loop().time()
            if left > 0 and self._has_room(batch):
                self._wake_in(left)
                return
            for one in batch:
                self._waiting.remove(one)
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._schedule)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._schedule()

    def _gathered(self) -> list[_Waiting]:
        """Return the longest waiting request, and others that fit into a batch with it, in their order."""
        first = self._waiting[0]
        batch, total = [first], first.rows
        for one in list(self._waiting)[1:] if self._rows is not None else ():
            if one.key == first.key and total + one.rows <= self._most:
                batch.append(one)
                total += one.rows
        return batch

    def _has_room(self, batch: Sequence[_Waiting]) -> bool:
        return self._rows is not None and sum(one.rows for one in batch) < self._most

    async def _run(self, batch: Sequence[_Waiting]) -> None:
        if len(batch) == 1 or self._rows is None:
            await self._run_alone(batch[0], ended=0)
            return
        total = sum(one.rows for one in batch)
        try:
            joined = _joined([one.message for one in batch], self._rows)
            answer = await self._pool.call(joined, repeatable=False)
            parts = list(_parted(answer, [one.rows for one in batch], self._rows))
        except Exception as error:
            code = error.code if isinstance(error, TriptychError) else ""
            if code in _FINAL:
                for one in batch:
                    one.refuse(error)
                return
            # which one it was shows when each is alone
            for one in batch:
                await self._run_alone(one, ended=int(code == "model_ended"))
            return
        self._note(total)
        for one, part in zip(batch, parts, strict=True):
            one.settle(part)

    async def _run_alone(self, one: _Waiting, ended: int) -> None:
        if one.answer.done():  # its client has left
            return
        try:
            one.settle(await self._pool.call(one.message, ended=ended))
        except Exception as error:
            one.refuse(error)
            return
        self._note(one.rows)

    def _note(self, rows: int) -> None:
        if self._observe is not None:
            self._observe(rows)


def _count(message: Message, rows: Rows) -> int:
    name, dimension = next(iter(rows.inputs.items()))
    return int(message.arrays[name].shape[dimension])


def _key(message: Message, rows: Rows) -> tuple[object, ...]:
    """Return what has to be equal: all of a message but its rows."""
    parts: list[object] = [json.dumps(message.content, sort_keys=True)]
    for name, array in message.arrays.items():
        dimension = rows.inputs.get(name)
        if dimension is None:
            parts.append((name, array.dtype.str, array.shape, array.tobytes()))
        else:
            parts.append((name, array.dtype.str, array.shape[:dimension], array.shape[dimension + 1 :]))
    return tuple(parts)


def _joined(batch: Sequence[Message], rows: Rows) -> Message:
    arrays: dict[str, NDArray] = {}
    for name, array in batch[0].arrays.items():
        dimension = rows.inputs.get(name)
        arrays[name] = (
            array if dimension is None else np.concatenate([one.arrays[name] for one in batch], dimension)
        )
    return Message(batch[0].content, arrays)


def _parted(answer: Message, counts: Sequence[int], rows: Rows) -> Iterator[Message]:
    """Yield each request's part of an answer. Raises ServiceError, model_rows, where it has another number of rows."""
    ends = np.cumsum(counts)
    for name, array in answer.arrays.items():
        if array.shape[rows.outputs[name]] != ends[-1]:
            raise MODEL("model_rows", name=name, count=array.shape[rows.outputs[name]], wanted=int(ends[-1]))
    parts = {name: np.split(array, ends[:-1], rows.outputs[name]) for name, array in answer.arrays.items()}
    for index in range(len(counts)):
        yield Message(answer.content, {name: each[index] for name, each in parts.items()})
