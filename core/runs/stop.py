"""Stop a command by SIGTERM or Ctrl-C: an exception that no part of the program takes for a fault."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class Stopped(BaseException):
    """The command was asked to stop.

    number: the signal. saved: what was saved before the end, a clause for people; empty where nothing was said.
    """

    def __init__(self, number: int, saved: str = "") -> None:
        super().__init__(number, saved)
        self.number, self.saved = int(number), saved

    @property
    def exit_code(self) -> int:
        """What a shell reports after the signal."""
        return 128 + self.number

    @property
    def name(self) -> str:
        """The signal's name for people."""
        return NAMES[signal.Signals(self.number)]


class StopRequest:
    """Within `with`, the first signal is only noted, for a loop that ends where it can; the second ends at once.

    number: the signal noted, 0 while there is none. Signals that the process ignores stay ignored, and a thread
    other than the main one notes none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        self._before = _install(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        _restore(self._before)

    def hold(self) -> None:
        """Take the signals back from a library that has put its own handlers in place."""
        if threading.current_thread() is threading.main_thread():
            for number in self._before:
                signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number:
            raise Stopped(number)
        self.number = number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Within the block, SIGTERM and Ctrl-C raise Stopped in the main thread."""
    before = _install(_raise)
    try:
        yield
    finally:
        _restore(before)


def ignore_signals() -> None:
    """Leave SIGTERM and Ctrl-C to the parent process, which ends this one; for processes that only help it."""
    for number in NAMES:
        signal.signal(number, signal.SIG_IGN)


def _raise(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [number for number in NAMES if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers}


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
