"""The process of a model, as core.serving.model_process starts it.

    python -m core.serving.model_child CHANNEL REQUESTS ANSWERS PARENT

The first three are descriptors (core.serving.messages), the last is a process. It builds what its first message names,
then answers one message after the other until the other side closes.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from core.errors import TriptychError, frames_of, where_of
from core.runs.stop import ignore_signals
from core.serving.messages import Message, SharedArea, receive_now, send_now
from core.serving.remote_errors import described
from core.terminal.silence import silenced

Model = Callable[[Message], Message]
_PDEATHSIG = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)


def main(words: list[str]) -> None:
    """Be the process of a model until the parent closes its end, or dies."""
    ignore_signals()  # who stops the service wants requests under way answered
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
    *descriptors, parent = map(int, words)
    for each in descriptors:
        os.set_inheritable(each, False)  # noqa: FBT003
    channel = socket.socket(fileno=descriptors[0])
    end_with_parent(channel, parent)
    with silenced():
        try:
            answer_all(channel, *map(SharedArea, descriptors[1:]))
        except (EOFError, OSError):
            pass
    os._exit(0)  # threads of libraries may not let an orderly exit end


def answer_all(channel: socket.socket, requests: SharedArea, answers: SharedArea) -> None:
    """Build the model and say so, then answer every message. Raises EOFError where the other side has closed."""
    first = receive_now(channel, requests)
    try:
        model = build(first.content["target"], first.content["arguments"])
        about = getattr(model, "about", {})
    except Exception as error:
        send_now(channel, Message(_failure(error)), answers)
        raise EOFError from error
    send_now(channel, Message({"answer": about}), answers)
    while True:
        send_now(channel, answered(model, receive_now(channel, requests)), answers)


def build(target: str, arguments: dict[str, Any]) -> Model:
    """Return what "module:function" makes of its arguments."""
    module, _, function = target.partition(":")
    model: Model = getattr(importlib.import_module(module), function)(**arguments)
    return model


def answered(model: Model, request: Message) -> Message:
    """Return the model's answer as it is sent; an error becomes one, and the process goes on."""
    try:
        answer = model(request)
    except Exception as error:
        return Message(_failure(error))
    return Message({"answer": answer.content}, answer.arrays)


def end_with_parent(channel: socket.socket, parent: int) -> None:
    """End this process with its parent, however that ends: by a signal of the kernel, and at the channel's end."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(0)

    def watch() -> None:
        hung_up = select.poll()
        hung_up.register(channel, 0)  # only that the other end is closed: what comes is the main thread's
        hung_up.poll()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, TriptychError):
        return {"error": described(error)}
    # its message may quote an input
    fault = {"type": type(error).__name__, "frames": frames_of(error), "where": where_of(error)}
    return {"fault": fault}


if __name__ == "__main__":
    main(sys.argv[1:])
