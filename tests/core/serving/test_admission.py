from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import APIRouter, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from core.serving.admission import Admission, Ticket
from core.serving.errors import ServiceError
from core.serving.events import run_until_disconnect
from core.serving.metrics import Metrics
from tests.core.serving.service import Seen, client, make, open_socket, until


def new(limit: int, **settings: Any) -> Admission:
    return Admission(limit, metrics=Metrics(), **settings)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 10)

    asyncio.run(bounded())


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_units_are_held_and_given_back_once() -> None:
    async def test() -> None:
        admission = new(3)
        ticket = await admission.take(2)
        async with admission.slot():
            assert admission.in_use == 3
        ticket.release()
        ticket.release()
        assert admission.in_use == 0

    run(test)


@pytest.mark.parametrize("units", [0, -1, 4, 10**6])
def test_more_than_there_is_can_never_be_had(units: int) -> None:
    async def test() -> None:
        with pytest.raises(ServiceError, match=f"1 to 3 at once, not {units}") as caught:
            await new(3, waiting=100).take(units)
        assert (caught.value.status, caught.value.code) == (400, "too_many_at_once")

    run(test)


def test_over_the_limit_a_request_hears_when_to_come_back() -> None:
    async def test() -> None:
        admission = new(2, waiting=2, usual_s=10)
        held = [await admission.take() for _ in range(2)]
        waits = asyncio.create_task(admission.take(2))
        await soon()
        assert (admission.in_use, admission.queued) == (2, 2)
        with pytest.raises(ServiceError, match="too much waits already; try again in 15 s") as caught:
            await admission.take()
        assert caught.value.headers == {"Retry-After": "15"}  # 10 s × (2 + 2 + 1 − 2) units ÷ 2
        for ticket in held:
            ticket.release()
        (await waits).release()
        assert (admission.in_use, admission.queued) == (0, 0)

    run(test)


def test_nobody_overtakes() -> None:
    async def test() -> None:
        admission = new(4, waiting=100)
        first = await admission.take(3)
        order: list[int] = []

        async def ask(number: int, units: int) -> Ticket:
            ticket = await admission.take(units)
            order.append(number)
            return ticket

        tasks = []
        for number, units in enumerate([4, 1, 2]):  # one unit is free, but the first in the queue wants four
            tasks.append(asyncio.create_task(ask(number, units)))
            await soon()
        assert order == []
        first.release()
        await soon()
        assert order == [0]
        (await tasks[0]).release()
        await soon()
        assert order == [0, 1, 2]
        for task in tasks[1:]:
            (await task).release()
        assert admission.in_use == 0

    run(test)


def test_one_that_leaves_the_queue_makes_room_at_once() -> None:
    async def test() -> None:
        admission = new(4, waiting=100)
        held = await admission.take(3)
        large = asyncio.create_task(admission.take(4))
        await soon()
        small = asyncio.create_task(admission.take(1))
        await soon()
        large.cancel()
        await soon()
        (await small).release()
        held.release()
        assert (admission.in_use, admission.queued) == (0, 0)

    run(test)


def test_units_that_come_in_the_moment_of_leaving_are_given_back() -> None:
    async def test() -> None:
        admission = new(1, waiting=5)
        held = await admission.take()
        waits = asyncio.create_task(admission.take())
        await soon()
        held.release()
        waits.cancel()  # its turn has come, but it has not run since
        await soon()
        assert (waits.cancelled(), admission.in_use, admission.queued) == (True, 0, 0)

    run(test)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.booleans()), max_size=30), st.integers(0, 6)
)
def test_whatever_comes_all_units_are_free_at_the_end(
    requests: list[tuple[int, int, bool]], waiting: int
) -> None:
    async def one(admission: Admission, units: int, steps: int, fail: bool) -> None:
        async with admission.slot(units):
            assert admission.in_use <= admission.limit
            for _ in range(steps):
                await asyncio.sleep(0)
            if fail:
                raise ValueError("x")

    async def test() -> None:
        admission = new(4, waiting=waiting)
        tasks = [asyncio.create_task(one(admission, *request)) for request in requests]
        await asyncio.sleep(0)
        for task, (_, _, fail) in zip(tasks, requests, strict=True):
            if fail:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (admission.in_use, admission.queued) == (0, 0)

    run(test)


def test_the_mean_follows_work_that_was_completed() -> None:
    async def test() -> None:
        admission = new(1, usual_s=100)
        held = await admission.take()
        held.release(completed=False)
        assert admission.retry_after_s(2) == 100
        async with admission.slot():
            await asyncio.sleep(0.02)
        assert 0.02 <= admission.retry_after_s(2) < 5
        with pytest.raises(ValueError, match="x"):
            async with admission.slot():
                raise ValueError("x")
        assert 0.02 <= admission.retry_after_s(2) < 5

    run(test)


def test_two_at_once_and_the_third_is_refused() -> None:
    seen, metrics = Seen(), Metrics()
    admission = Admission(2, metrics=metrics, usual_s=7.0)
    router = APIRouter()

    @router.post("/work")
    async def work(seconds: float) -> dict[str, Any]:
        async with admission.slot():
            with seen.working():
                await asyncio.sleep(seconds)
        return {}

    with client(make(seen, router, metrics=metrics)) as to, ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(to.post, "/work?seconds=0.5") for _ in range(2)]
        until(lambda: seen.began == 2)
        assert "work_units_in_use 2.0" in to.get("/metrics").text
        third = to.post("/work?seconds=0")
        assert (third.status_code, third.headers["retry-after"]) == (429, "4")  # 7 s ÷ 2, rounded up
        assert third.json()["error"]["code"] == "too_busy"
        assert [answer.result().status_code for answer in slow] == [200, 200]
        assert to.post("/work?seconds=0").status_code == 200
        counted = to.get("/metrics").text
    assert "work_refused_total 1.0" in counted
    assert "work_units_in_use 0.0" in counted


def test_a_client_that_leaves_while_it_waits_gives_its_place_free() -> None:
    seen, metrics = Seen(), Metrics()
    admission = Admission(1, metrics=metrics, waiting=1)
    router = APIRouter()

    @router.post("/work")
    async def work(request: Request, seconds: float) -> dict[str, Any]:
        async def admitted() -> dict[str, Any]:
            async with admission.slot():
                with seen.working():
                    await asyncio.sleep(seconds)
            return {}

        return await run_until_disconnect(request, admitted())

    with client(make(seen, router, metrics=metrics)) as to, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(to.post, "/work?seconds=0.7")
        until(lambda: seen.began == 1)
        with open_socket(to) as connection:
            connection.sendall(b"POST /work?seconds=0 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            until(lambda: admission.queued == 1)
            assert to.post("/work?seconds=0").status_code == 429
        until(lambda: admission.queued == 0, 5)
        assert to.post("/work?seconds=0").status_code == 200
        assert slow.result().status_code == 200
    assert (seen.began, admission.in_use) == (2, 0)
