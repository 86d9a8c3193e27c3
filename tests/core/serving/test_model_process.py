from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from core.errors import InputError, InternalFault, ItemRefused
from core.serving.messages import Message
from core.serving.model_process import ModelFaultError, ModelProcess, ProcessEndedError
from core.serving.service_error import ServiceError
from tests.core.serving.models import arrays, source

pytestmark = pytest.mark.slow
DEADLINE_S = 20.0


def with_process(work: Callable[[ModelProcess], Awaitable[None]], offset: float = 0.0, **how: int) -> None:
    async def run() -> None:
        process = await ModelProcess.start(source("doubling", offset=offset, **how), DEADLINE_S)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await work(process)
        finally:
            await process.close()
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    asyncio.run(run())


def test_it_answers_with_arrays_of_every_size_and_knows_the_model() -> None:
    async def work(process: ModelProcess) -> None:
        assert process.about == {"offset": 0.5}
        for given in (arrays((2, 3)), arrays((3,), (400, 500)), arrays((0, 5)), {}):
            answer = await process.call(Message({"note": "ü"}, given), DEADLINE_S)
            assert answer.content == {"pid": process.pid, "note": "ü"}
            assert list(answer.arrays) == list(given)
            for name, array in given.items():
                np.testing.assert_array_equal(answer.arrays[name], array * 2 + 0.5)

    with_process(work, offset=0.5)


def test_an_answer_is_not_overwritten_by_the_next() -> None:
    async def work(process: ModelProcess) -> None:
        first = (await process.call(Message({}, arrays((300, 300))), DEADLINE_S)).arrays["a0"]
        kept = first.copy()
        await process.call(Message({}, {"a0": np.ones((300, 300), "f4")}), DEADLINE_S)
        np.testing.assert_array_equal(first, kept)

    with_process(work)


@pytest.mark.parametrize(
    ("name", "error_class", "code"),
    [
        ("input", InputError, "some_code"),
        ("item", ItemRefused, "item_code"),
        ("service", ServiceError, "body_too_large"),
    ],
)
def test_errors_of_the_model_come_as_they_are_and_it_goes_on(
    name: str, error_class: type[InputError], code: str
) -> None:
    async def work(process: ModelProcess) -> None:
        with pytest.raises(error_class) as raised:
            await process.call(Message({"refuse": name}), DEADLINE_S)
        assert raised.value.code == code
        assert (await process.call(Message({}, arrays((1,))), DEADLINE_S)).arrays["a0"] == 0

    with_process(work)


def test_a_fault_comes_without_its_words() -> None:
    async def work(process: ModelProcess) -> None:
        with pytest.raises(ModelFaultError) as raised:
            await process.call(Message({"fail": "secret"}), DEADLINE_S)
        assert raised.value.type == "ValueError"
        assert raised.value.where.startswith("tests/core/serving/models.py:")
        assert "secret" not in repr(vars(raised.value))

    with_process(work)


@pytest.mark.parametrize(
    ("content", "how"),
    [
        ({"kill": int(signal.SIGKILL)}, "signal 9"),
        ({"kill": int(signal.SIGSEGV)}, "signal 11"),
        ({"exit": 3}, "exit code 3"),
    ],
)
def test_a_death_during_a_call_is_told_at_once(content: dict[str, int], how: str) -> None:
    async def work(process: ModelProcess) -> None:
        with pytest.raises(ProcessEndedError, match=how):
            await process.call(Message(content), DEADLINE_S)

    with_process(work)


def test_a_death_between_calls_is_told_at_once() -> None:
    async def work(process: ModelProcess) -> None:
        ended = asyncio.Event()
        process.on_end = ended.set
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.wait_for(ended.wait(), 1)
        assert await process.kill() == "signal 9"

    with_process(work)


def test_a_model_that_hangs_is_ended() -> None:
    async def work(process: ModelProcess) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await process.call(Message({"sleep": 60}), 0.2)
        assert asyncio.get_running_loop().time() - began < 2
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)

    with_process(work)


def test_signals_to_stop_do_not_reach_the_model() -> None:
    async def work(process: ModelProcess) -> None:
        answer = asyncio.create_task(process.call(Message({"sleep": 0.4}), DEADLINE_S))
        await asyncio.sleep(0.1)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid, number)
        assert (await answer).content["pid"] == process.pid

    with_process(work)


@pytest.mark.parametrize(
    ("name", "arguments", "within_s", "error_class", "sentence"),
    [
        ("wrong", {"code": "weights"}, DEADLINE_S, InputError, "the weights are wrong: weights"),
        (
            "broken",
            {},
            DEADLINE_S,
            InternalFault,
            r"failed to load it: ValueError at tests/core/serving/models",
        ),
        ("absent", {}, DEADLINE_S, InternalFault, "failed to load it: AttributeError at "),
        ("dying", {}, DEADLINE_S, InternalFault, "ended by signal 11 before its model was loaded"),
        ("hanging", {}, 0.5, InternalFault, r"did not load it within 0\.5 s"),
    ],
)
def test_what_cannot_start_says_why(
    name: str, arguments: dict[str, str], within_s: float, error_class: type[Exception], sentence: str
) -> None:
    with pytest.raises(error_class, match=sentence) as raised:
        asyncio.run(ModelProcess.start(source(name, **arguments), within_s))
    assert "secret" not in str(raised.value)
