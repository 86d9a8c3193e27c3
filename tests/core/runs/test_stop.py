from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from core.runs.stop import Stopped, StopRequest, ignore_signals, stoppable


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """A job in the background of a shell ignores Ctrl-C from its start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python handles it between two operations


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_stops_the_block(number: int, code: int, name: str) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stoppable():
        send(number)
    assert (stopped.value.exit_code, stopped.value.name, stopped.value.saved) == (code, name, "")
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_stops(number: int) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.number == 0
        send(number)
        assert stop.number == number
        with pytest.raises(Stopped):
            send(signal.SIGTERM)
    assert signal.getsignal(number) == before


def test_signals_are_taken_back_from_a_library() -> None:
    with StopRequest() as stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stop.hold()
        send(signal.SIGTERM)
        assert stop.number == signal.SIGTERM


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as for a job in the background of a script
    try:
        with StopRequest() as stop:
            stop.hold()
            send(signal.SIGINT)
        with stoppable():
            send(signal.SIGINT)
        assert stop.number == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stoppable(), StopRequest() as stop:
            stop.hold()
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_helping_process_ignores_both() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ignore_signals()
        send(signal.SIGTERM)
        send(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
