"""A model in a process of its own: it can be ended, or die, without its service; that one never imports torch.

The process is a fresh interpreter, so nothing of the service's threads is copied into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.serving import messages
from core.serving.messages import Message, SharedArea
from core.serving.reasons import STARTS
from core.serving.remote_errors import rebuilt

_ROOT = Path(__file__).resolve().parents[2]
_CHILD = "core.serving.model_child"
# What PyTorch, OpenMP and MKL read when they are imported.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_REAP_S = 10.0  # until a killed process counts as gone whatever the system says
_TICK_S = 0.005


@dataclass(frozen=True)
class ModelSource:
    """What a process makes its model of.

    target: "module:function", which returns a callable that takes and returns a Message; its attribute `about`, plain
    JSON, is known to the service once it has started. arguments: plain JSON. threads: of one operation; None: as the
    environment has it.
    """

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None


class ProcessEndedError(Exception):
    """The process of a model ended. how: "signal 9", or "exit code 1"."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class ModelFaultError(Exception):
    """The model failed at a request, and its process goes on. type, where, frames: of the error, without its words."""

    def __init__(self, fault: Mapping[str, Any]) -> None:
        super().__init__()
        self.type, self.where, self.frames = str(fault["type"]), str(fault["where"]), list(fault["frames"])


class ModelProcess:
    """One process of a model. It takes one message at a time.

    on_end: called in the event loop, at once, when it ends without being asked; not while a call is under way, which
    raises ProcessEndedError.
    """

    def __init__(self, threads: int | None) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        self._channel, self._requests, self._answers = ours, SharedArea(), SharedArea()
        with theirs:
            inherited = [theirs.fileno(), self._requests.descriptor, self._answers.descriptor]
            self._process = _spawned(inherited, threads)
        self.about: Mapping[str, Any] = {}
        self.on_end: Callable[[], None] = _ignore

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @classmethod
    async def start(cls, source: ModelSource, within_s: float) -> ModelProcess:
        """Start a process and return it once its model is built.

        Raises what building the model raised, where that is one of our errors; InternalFault: model_start_fault,
        model_start_ended, model_start_slow.
        """
        model = cls(source.threads)
        first = Message({"target": source.target, "arguments": dict(source.arguments)})
        try:
            model.about = (await model.call(first, within_s)).content
        except BaseException as error:
            await model.kill()
            if isinstance(error, ProcessEndedError):
                raise STARTS("model_start_ended", how=error.how) from error
            if isinstance(error, TimeoutError):
                raise STARTS("model_start_slow", seconds=within_s) from error
            if isinstance(error, ModelFaultError):
                raise STARTS("model_start_fault", type=error.type, where=error.where) from error
            raise
        return model

    async def call(self, message: Message, within_s: float) -> Message:
        """Return the model's answer.

        Raises the model's own errors, ModelFaultError for any other of its errors, ProcessEndedError, and TimeoutError
        after the process was ended. A call that is cancelled leaves a process that can only be ended.
        """
        self._listen(idle=False)
        try:
            async with asyncio.timeout(within_s):
                await messages.send(self._channel, message, self._requests)
                answer = await messages.receive(self._channel, self._answers)
        except TimeoutError:
            await self.kill()
            raise
        except (EOFError, OSError) as error:
            raise ProcessEndedError(await self.kill()) from error
        self._listen(idle=True)
        return _opened(answer)

    async def kill(self) -> str:
        """End the process at once; return how it ended."""
        self._hang_up()
        before = await self._ended(_TICK_S)  # of itself, where the channel closed with it
        if not before:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its own group: what it started goes with it
            await self._ended(_REAP_S)
        code = self._process.returncode
        if code is None:
            return "no signal that was sent"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    async def close(self, within_s: float = 2.0) -> None:
        """Let an idle process end, and end it where it does not."""
        self._hang_up()
        if not await self._ended(within_s):
            await self.kill()

    def _hang_up(self) -> None:
        """Close the channel, at whose end the process ends by itself."""
        if self._channel.fileno() < 0:
            return
        self._listen(idle=False)
        self._channel.close()
        self._requests.close()
        self._answers.close()

    def _listen(self, *, idle: bool) -> None:
        """Watch the channel while nothing is asked: what comes then is its end."""
        loop = asyncio.get_running_loop()
        if idle:
            loop.add_reader(self._channel, self._found_ended)
        else:
            loop.remove_reader(self._channel)

    def _found_ended(self) -> None:
        self._listen(idle=False)
        self.on_end()

    async def _ended(self, within_s: float) -> bool:
        end = time.monotonic() + within_s
        while self._process.poll() is None:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_TICK_S)
        return True


def _ignore() -> None:
    """Do nothing with an end."""


def _opened(answer: Message) -> Message:
    content = answer.content
    if "error" in content:
        raise rebuilt(content["error"])
    if "fault" in content:
        raise ModelFaultError(content["fault"])
    return Message(content["answer"], answer.arrays)


def _spawned(inherited: list[int], threads: int | None) -> subprocess.Popen[bytes]:
    terminal = sys.__stderr__
    environment = {**os.environ, **dict.fromkeys(_THREADS if threads else (), str(threads))}
    paths = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    with _signals_held():
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD, *map(str, inherited), str(os.getpid())],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # where our notes go while a stage withholds what others print
            stderr=terminal.fileno() if terminal is not None else subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            process_group=0,  # Ctrl-C at the terminal is for the service
        )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Start a process deaf to Ctrl-C and SIGTERM until it ignores them: it outlives the requests under way."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
