"""Models for tests, which fail in every way when asked to; and a pool of one, with its event loop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import InputError, ItemRefused
from core.serving.messages import Message
from core.serving.model_process import ModelSource
from core.serving.reasons import LIMITS


def source(name: str = "doubling", threads: int | None = None, **arguments: object) -> ModelSource:
    return ModelSource(f"tests.core.serving.models:{name}", arguments, threads)


def doubling(offset: float = 0.0) -> Callable[[Message], Message]:
    """A model that doubles its arrays, and does before what the content asks for."""

    def run(message: Message) -> Message:
        for what, value in message.content.items():
            ACTIONS[what](value)
        doubled = {name: array * 2 + offset for name, array in message.arrays.items()}
        return Message({"pid": os.getpid(), **message.content}, doubled)

    run.about = {"offset": offset}  # type: ignore[attr-defined]
    return run


def batched() -> Callable[[Message], Message]:
    """A model that doubles its rows; a row of -1 fails, -2 kills it, -3 hangs, -4 loses a row."""
    double = doubling()

    def run(message: Message) -> Message:
        first = message.arrays["x"][:, 0]
        if (first == -1).any():
            raise ValueError
        if (first == -2).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (first == -3).any():
            time.sleep(60)
        answer = double(message)
        return Message({}, {"x": answer.arrays["x"][1:]}) if (first == -4).any() else answer

    return run


def once(flag: str) -> None:
    """Die, but only where the file is not there yet."""
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(name: str) -> None:
    errors = {
        "input": InputError("some_code", "some sentence"),
        "item": ItemRefused("item_code", "item sentence"),
        "service": LIMITS("body_too_large", most=5),
    }
    raise errors[name]


def fail(words: str) -> None:
    raise ValueError(words)


ACTIONS: dict[str, Callable[..., object]] = {
    "sleep": time.sleep,
    "kill": lambda number: os.kill(os.getpid(), number),
    "exit": os._exit,
    "once": once,
    "refuse": refuse,
    "fail": fail,
    "note": lambda text: None,
}


def wrong(code: str) -> Callable[[Message], Message]:
    raise InputError(code, f"the weights are wrong: {code}")


def broken() -> Callable[[Message], Message]:
    raise ValueError("secret")


def dying() -> Callable[[Message], Message]:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def hanging() -> Callable[[Message], Message]:
    time.sleep(60)
    raise AssertionError


def starting_once(folder: str) -> Callable[[Message], Message]:
    """Start as often as there are files in the folder, which it uses up."""
    files = list(Path(folder).iterdir())
    if not files:
        raise InputError("used_up", "no start is left")
    files[0].unlink()
    return doubling()


def arrays(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {
        f"a{index}": np.arange(np.prod(shape), dtype="f4").reshape(shape)
        for index, shape in enumerate(shapes)
    }
