from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.runs.log import RunLog
from core.serving.messages import Message
from core.serving.model_pool import ModelPool
from core.serving.service_error import ServiceError
from tests.core.serving.models import arrays, source

pytestmark = pytest.mark.slow
DEADLINE_S = 20.0


def with_pool(work: Callable[[ModelPool], Awaitable[None]], name: str = "doubling", **settings: Any) -> None:
    arguments = settings.pop("arguments", {})

    async def run() -> None:
        pool = ModelPool(source(name, **arguments), **settings)
        await pool.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work(pool)
        finally:
            pids = pool.pids
            await pool.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(run())


async def refusal(call: Awaitable[Message]) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await call
    return raised.value


async def until(true: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not true():
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def test_a_death_between_requests_is_known_at_once_and_repaired(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:

        async def work(pool: ModelPool) -> None:
            (before,) = pool.pids
            assert pool.unready() is None
            os.kill(before, signal.SIGKILL)
            assert await until(lambda: pool.unready() is not None) < 1
            assert pool.unready() == "the process of the model ended and is started again"
            # who asks meanwhile waits for the new one
            answer = await pool.call(Message({}, arrays((3,))))
            assert answer.content["pid"] not in (before, os.getpid())
            assert pool.unready() is None
            assert pool.restarts == 1

        with_pool(work, log=log)
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(one["event"], one.get("code")) for one in events] == [
        ("model_ended", "signal-9"),
        ("model_started", None),
    ]


def test_a_request_under_way_at_a_death_is_answered_by_the_next_process(tmp_path: Path) -> None:
    async def work(pool: ModelPool) -> None:
        answer = await pool.call(Message({"once": str(tmp_path / "flag")}, arrays((2, 2))))
        np.testing.assert_array_equal(answer.arrays["a0"], arrays((2, 2))["a0"] * 2)
        assert pool.restarts == 1

    with_pool(work)


def test_what_must_not_be_repeated_is_refused(tmp_path: Path) -> None:
    async def work(pool: ModelPool) -> None:
        flag = Message({"once": str(tmp_path / "flag")})
        refused = await refusal(pool.call(flag, repeatable=False))
        assert (refused.status, refused.code, refused.headers) == (503, "model_ended", {"Retry-After": "1"})
        assert (await pool.call(flag)).content["pid"] in pool.pids

    with_pool(work)


def test_a_request_that_kills_twice_is_refused_and_takes_no_other_with_it() -> None:
    async def work(pool: ModelPool) -> None:
        deadly = [pool.call(Message({"kill": int(signal.SIGKILL)})) for _ in range(2)]
        others = [pool.call(Message({"note": str(index)}, arrays((4,)))) for index in range(8)]
        answers = await asyncio.gather(*deadly, *others, return_exceptions=True)
        for refused in answers[:2]:
            assert isinstance(refused, ServiceError)
            assert (refused.status, refused.code) == (500, "model_ended_twice")
        for index, answer in enumerate(answers[2:]):
            assert isinstance(answer, Message)
            assert answer.content["note"] == str(index)
            np.testing.assert_array_equal(answer.arrays["a0"], arrays((4,))["a0"] * 2)
        assert len(answers) == 10

    with_pool(work)


def test_a_request_that_hangs_is_refused_and_the_next_is_answered() -> None:
    async def work(pool: ModelPool) -> None:
        hung = asyncio.create_task(refusal(pool.call(Message({"sleep": 60}))))
        await asyncio.sleep(0)
        answer = await pool.call(Message({}, arrays((1,))))
        assert answer.arrays["a0"] == 0
        assert ((await hung).status, (await hung).code) == (504, "model_timeout")

    with_pool(work, timeout_s=0.3)


def test_the_queue_is_bounded_and_a_client_that_leaves_makes_room() -> None:
    async def work(pool: ModelPool) -> None:
        calls = [asyncio.create_task(pool.call(Message({"sleep": 0.5}))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert pool.queued == 2
        refused = await refusal(pool.call(Message()))
        assert (refused.status, refused.code, refused.headers) == (429, "model_busy", {"Retry-After": "1"})
        calls[2].cancel()
        await asyncio.sleep(0)
        last = asyncio.create_task(pool.call(Message()))
        for call in (calls[0], calls[1], last):
            assert (await call).content["pid"] in pool.pids
        assert pool.queued == 0

    with_pool(work, waiting=2)


def test_several_processes_work_at_once_and_one_death_leaves_the_service_ready() -> None:
    async def work(pool: ModelPool) -> None:
        began = time.monotonic()
        answers = await asyncio.gather(*(pool.call(Message({"sleep": 0.4})) for _ in range(2)))
        assert time.monotonic() - began < 0.75
        assert {answer.content["pid"] for answer in answers} == set(pool.pids)
        os.kill(pool.pids[0], signal.SIGKILL)
        await until(lambda: len(pool.pids) == 1)
        assert pool.unready() is None
        await until(lambda: len(pool.pids) == 2)

    with_pool(work, processes=2)


def test_errors_of_the_model_are_answers_and_faults_are_logged_without_words(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:

        async def work(pool: ModelPool) -> None:
            with pytest.raises(InputError, match="some sentence"):
                await pool.call(Message({"refuse": "input"}))
            refused = await refusal(pool.call(Message({"fail": "secret"})))
            assert (refused.status, refused.code) == (500, "model_fault")
            assert "ValueError" in refused.sentence
            assert pool.restarts == 0

        with_pool(work, log=log)
    text = (tmp_path / "log.jsonl").read_text()
    assert json.loads(text)["event"] == "model_fault"
    assert "secret" not in text


def test_a_model_that_cannot_be_loaded_any_more_lets_requests_fail_at_once(tmp_path: Path) -> None:
    (tmp_path / "one").touch()

    async def work(pool: ModelPool) -> None:
        os.kill(pool.pids[0], signal.SIGKILL)
        await until(lambda: not pool.pids)
        waiting = await refusal(pool.call(Message()))
        assert (waiting.status, waiting.code) == (503, "model_restarting")
        began = time.monotonic()
        assert (await refusal(pool.call(Message()))).code == "model_restarting"
        assert time.monotonic() - began < 0.1
        assert pool.unready() is not None
        (tmp_path / "two").touch()
        await until(lambda: pool.unready() is None)
        assert (await pool.call(Message({}, arrays((1,))))).arrays["a0"] == 0

    with_pool(work, "starting_once", arguments={"folder": str(tmp_path)})


def test_one_process_that_cannot_start_ends_those_that_can(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    with pytest.raises(InputError, match="no start is left"):
        asyncio.run(ModelPool(source("starting_once", folder=str(tmp_path)), processes=2).start())


def test_a_close_refuses_what_waits_and_ends_what_runs() -> None:
    async def run() -> AsyncIterator[Any]:
        pool = ModelPool(source())
        await pool.start()
        assert pool.about == {"offset": 0.0}
        (pid,) = pool.pids
        calls = [asyncio.create_task(refusal(pool.call(Message({"sleep": 60})))) for _ in range(2)]
        await asyncio.sleep(0.1)
        await pool.close()
        assert [(await call).code for call in calls] == ["shutting_down"] * 2
        assert (await refusal(pool.call(Message()))).code == "shutting_down"
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        yield

    async def drive() -> None:
        async for _ in run():
            pass

    asyncio.run(drive())
