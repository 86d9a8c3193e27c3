from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from core.serving.batching import Batcher, Rows
from core.serving.messages import Message
from core.serving.model_pool import ModelPool
from core.serving.service_error import ServiceError
from tests.core.serving.models import source

pytestmark = pytest.mark.slow
ROWS = Rows({"x": 0}, {"x": 0}, most=8)
DEADLINE_S = 20.0


def message(*rows: float, columns: int = 3, **content: Any) -> Message:
    return Message(content, {"x": np.repeat(np.array(rows, "f4"), columns).reshape(len(rows), columns)})


def with_batcher(
    work: Callable[[Batcher, list[int], ModelPool], Awaitable[None]],
    rows: Rows | None = ROWS,
    **settings: Any,
) -> None:
    async def run() -> None:
        pool = ModelPool(source("batched"), timeout_s=0.5)
        await pool.start()
        seen: list[int] = []
        settings_here = {"most": 8, "wait_s": 0.0, "waiting": 64, **settings}
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work(Batcher(pool, rows, observe=seen.append, **settings_here), seen, pool)
        finally:
            await pool.close()

    asyncio.run(run())


def is_doubled(answer: object, *rows: float) -> bool:
    assert isinstance(answer, Message), answer
    return answer.arrays["x"][:, 0].tolist() == [2 * row for row in rows]


def test_what_waits_together_is_computed_together_and_divided_again() -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        sent = [(0.0,), (1.0, 2.0), (3.0,), (4.0, 5.0, 6.0), (7.0,), (8.0, 9.0)]
        answers = await asyncio.gather(*(batcher.call(message(*rows)) for rows in sent))
        assert all(is_doubled(answer, *rows) for answer, rows in zip(answers, sent, strict=True))
        assert len(answers) == 6
        # the first finds an idle process; then at most eight rows, in their order
        assert seen == [1, 7, 2]
        assert batcher.queued == 0

    with_batcher(work)


def test_the_first_waits_for_others_as_long_as_it_may() -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        first = asyncio.create_task(batcher.call(message(1.0)))
        await asyncio.sleep(0.05)
        assert not first.done()
        second = batcher.call(message(2.0))
        assert is_doubled(await second, 2.0)
        assert is_doubled(await first, 1.0)
        assert seen == [2]
        # a full batch waits no longer
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(batcher.call(message(float(row))) for row in range(8)))
        assert asyncio.get_running_loop().time() - began < 0.15
        assert seen == [2, 8]

    with_batcher(work, wait_s=0.2)


def test_other_shapes_and_contents_are_not_joined() -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        busy = asyncio.create_task(batcher.call(message(0.0, sleep=0.1)))
        await asyncio.sleep(0)
        calls = [
            message(1.0),
            message(2.0, columns=4),
            message(3.0, note="a"),
            message(4.0),
            message(5.0, columns=4),
        ]
        answers = await asyncio.gather(*map(batcher.call, calls))
        assert [answer.arrays["x"].shape for answer in answers] == [one.arrays["x"].shape for one in calls]
        await busy
        assert seen == [1, 2, 2, 1]

    with_batcher(work)


@pytest.mark.parametrize(("rows", "most"), [(None, 8), (ROWS, 1)])
def test_nothing_is_joined_where_it_must_not_be(rows: Rows | None, most: int) -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        answers = await asyncio.gather(*(batcher.call(message(float(row))) for row in range(4)))
        assert all(is_doubled(answer, float(row)) for row, answer in enumerate(answers))
        assert len(seen) == 4

    with_batcher(work, rows=rows, most=most)


@pytest.mark.parametrize(
    ("bad", "status", "code"),
    [
        ("fault", 500, "model_fault"),
        ("death", 500, "model_ended_twice"),
        ("hang", 504, "model_timeout"),
        ("rows", 500, None),
    ],
)
def test_a_bad_request_harms_no_other_of_its_batch(bad: str, status: int, code: str | None) -> None:
    values = {"fault": -1.0, "death": -2.0, "hang": -3.0, "rows": -4.0}

    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        busy = asyncio.create_task(batcher.call(message(0.0, sleep=0.1)))
        await asyncio.sleep(0)
        rows = [1.0, 2.0, values[bad], 3.0]
        answers = await asyncio.gather(*(batcher.call(message(row)) for row in rows), return_exceptions=True)
        for row, answer in zip(rows, answers, strict=True):
            if row > 0:
                assert is_doubled(answer, row)
            elif code is not None:
                assert isinstance(answer, ServiceError)
                assert (answer.status, answer.code) == (status, code)
        await busy
        assert is_doubled(await batcher.call(message(9.0)), 9.0)

    with_batcher(work)


def test_the_queue_is_bounded_and_a_client_that_leaves_makes_room() -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        busy = asyncio.create_task(batcher.call(message(0.0, sleep=0.3)))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(batcher.call(message(float(row)))) for row in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as raised:
            await batcher.call(message(3.0))
        assert (raised.value.status, raised.value.code) == (429, "model_busy")
        assert raised.value.headers == {"Retry-After": "1"}
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert batcher.queued == 1
        assert is_doubled(await batcher.call(message(3.0)), 3.0)
        assert is_doubled(await waiting[1], 2.0)
        await busy
        assert seen == [1, 2]

    with_batcher(work, waiting=2)


def test_a_kill_from_outside_costs_no_answer() -> None:
    async def work(batcher: Batcher, seen: list[int], pool: ModelPool) -> None:
        busy = asyncio.create_task(batcher.call(message(0.0, sleep=0.2)))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(batcher.call(message(float(row)))) for row in (1, 2, 3)]
        os.kill(pool.pids[0], signal.SIGKILL)
        assert is_doubled(await busy, 0.0)
        answers = await asyncio.gather(*waiting)
        assert all(is_doubled(answer, float(row)) for row, answer in enumerate(answers, 1))
        assert pool.restarts == 1

    with_batcher(work)
