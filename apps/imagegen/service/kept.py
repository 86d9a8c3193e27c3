"""Requests with an Idempotency-Key: kept on the queue of jobs before they are drawn, their answers in a folder.

Once a request is kept, its picture is delivered whatever becomes of this process: the next one draws what is not drawn.
The engine stays the service's own; the queue holds what was accepted, the folder what came of it:

serve.kept/
└── <token>.json    the answer to one request, whole
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.imagegen.service.reasons import KEPT
from core.errors import ExitCode, InputError, where_of
from core.jobs.config import JobsConfig
from core.jobs.context import check, pause, progress
from core.jobs.reasons import DatabaseAway
from core.runs.files import make_folder, write_bytes
from core.runs.log import RunLog
from core.serving.service_error import ServiceError

if TYPE_CHECKING:
    from core.jobs.queue import Job
    from core.jobs.store import Store

JOB = "images.request"
Draw = Callable[[dict[str, Any], int, Callable[[int, int], None]], Awaitable[dict[str, Any]]]
_AGAIN_S = 1.0  # between looks at an engine that takes nothing now, and tries of a database that is away
_LOOK_S = 0.1  # between looks for an answer
_STATE_EVERY = 20  # looks: then the database is asked, too
_SWEEP_S = 600.0
_CLOSE_S = 10.0  # that a database which does not answer may hold up the end
_BEAT_S, _DEAD_AFTER_S = 1.0, 5.0  # whoever is started after a crash takes over soon
_BUSY = (429, 503)  # of the engine: it is full, or about to start or to end


class KeptRequests:
    """The kept requests for one model.

    folder: of the answers. queue: of this model alone, so that a service with another one leaves them lying. draw: gets
    a request's fields, its time of acceptance and what to tell of each finished picture; returns the answer. hours: for
    which answers are kept. most: requests that may wait. together: that the engine gets at once.
    """

    def __init__(
        self,
        folder: Path,
        queue: str,
        draw: Draw,
        *,
        hours: float,
        most: int,
        together: int,
        log: RunLog | None = None,
    ) -> None:
        self.folder, self.hours = folder, hours
        self._queue, self._draw, self._most, self._together, self._log = queue, draw, most, together, log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: Store | None = None
        self._opening = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None
        self._swept = -_SWEEP_S
        self.attended: set[str] = set()  # jobs whose client waits here

    async def open(self) -> None:
        """Begin; where requests were kept before, what is not drawn of them is drawn now."""
        self._loop = asyncio.get_running_loop()
        if self.folder.is_dir():
            self._start()

    async def close(self) -> None:
        """Give back what is not drawn, for the next start."""
        self._closing.set()
        self._stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_S)
        if self._store is not None:
            self._store.close()

    def accept(self, key: str, body: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[Job, bool]:
        """Keep a request, unless its key is known; return its job, and whether it is new.

        key: with its owner. body: as it was sent, by which a later one of this key is compared. request: what is drawn,
        its seed and defaults filled in. Raises ServiceError: 422 for a key with another body, 429 where too many wait,
        503 where the database of jobs does not answer, 507 where the folder cannot be written.
        """
        from core.jobs.queue import identity_of

        fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        token = secrets.token_hex(16)
        with self._answering():
            store = self._opened()
            self._sweep(store)
            known = self._known(store, identity_of(store, JOB, key))
            if known is None:
                known = self._submit(store, key, fingerprint, token, request)
        assert known.arguments is not None
        if known.arguments["fingerprint"] != fingerprint:
            raise KEPT("idempotency_key_reused")
        return known, known.arguments["answer"] == token

    def find(self, identity: str) -> Job:
        """Return a kept request by its whole id. Raises ServiceError 404, 503."""
        with self._answering():
            one = self._known(self._opened(), identity)
        if one is None:
            raise KEPT("kept_unknown")
        return one

    def cancel(self, identity: str) -> None:
        """Cancel a request that is not drawn yet. Raises ServiceError: 404, 409 where it has ended, 503."""
        from core.jobs.queue import ENDS, cancel

        one = self.find(identity)
        with self._answering():
            if one.state in ENDS:
                raise KEPT("kept_ended", state=one.state)
            cancel(self._opened(), one.id)

    async def answer(self, one: Job) -> bytes:
        """Wait until a request is drawn, and return its answer. Raises ServiceError where none will come."""
        looks = 0
        while True:
            with contextlib.suppress(FileNotFoundError):
                return self.path(one).read_bytes()
            if looks % _STATE_EVERY == 0:
                one = await asyncio.to_thread(self.find, one.id)
                self.raise_failure(one)
            looks += 1
            await asyncio.sleep(_LOOK_S)

    def path(self, one: Job) -> Path:
        """Return the file of a request's answer, there or not."""
        assert one.arguments is not None
        return self.folder / f"{one.arguments['answer']}.json"

    def raise_failure(self, one: Job) -> None:
        """Raise the ServiceError of a request that failed, or was cancelled."""
        from core.jobs.queue import State

        if one.state is State.CANCELLED:
            raise KEPT("kept_cancelled")
        if one.state is State.FAILED:
            raise ServiceError(400 if one.exit_code == ExitCode.BAD_INPUT else 500, one.code, one.sentence)

    def work(self, request: dict[str, Any], created: int, fingerprint: str, answer: str) -> dict[str, Any]:  # noqa: ARG002
        """Draw a kept request and write its answer; the job that the worker in this process calls."""
        path = self.folder / f"{answer}.json"
        while not path.exists():
            try:
                reply = self._drawn(request, created)
            except ServiceError as error:
                if error.status in _BUSY:
                    pause(_AGAIN_S)
                    continue
                if error.status < 500:
                    raise InputError(error.code, error.sentence) from None
                raise
            write_bytes(path, json.dumps(reply, allow_nan=False).encode("ascii"))
        return {"answer": path.name}

    def _drawn(self, request: dict[str, Any], created: int) -> dict[str, Any]:
        """Let the service's own loop draw; cancelled where this job is to stop."""
        assert self._loop is not None
        told: list[tuple[int, int]] = []
        drawing = self._draw(dict(request), created, lambda done, total: told.append((done, total)))
        future = asyncio.run_coroutine_threadsafe(_awaited(drawing), self._loop)
        try:
            while True:
                check()
                if told:
                    progress(*told[-1])
                with contextlib.suppress(concurrent.futures.TimeoutError):
                    reply = future.result(timeout=_AGAIN_S / 2)
                    if told:
                        progress(*told[-1])
                    return reply
        finally:
            future.cancel()

    def _known(self, store: Store, identity: str) -> Job | None:
        """Return the job of an id, None where there is none or its answer has expired."""
        from core.jobs.queue import State, job

        try:
            one = job(store, identity)
        except DatabaseAway:
            raise
        except InputError:
            return None
        if one.id != identity or one.name != JOB:
            return None
        return None if one.state is State.DONE and not self.path(one).exists() else one

    def _submit(
        self, store: Store, key: str, fingerprint: str, token: str, request: Mapping[str, Any]
    ) -> Job:
        from core.jobs.queue import count_waiting, job, submit

        if count_waiting(store, self._queue) >= self._most:
            raise KEPT("kept_full", most=self._most, headers={"Retry-After": "5"})
        make_folder(self.folder)
        self._start()
        arguments = {
            "request": dict(request),
            "created": int(time.time()),
            "fingerprint": fingerprint,
            "answer": token,
        }
        return job(store, submit(store, JOB, arguments, key=key, queue=self._queue, again=True))

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Answer 503 where the database is away, 507 where the folder cannot be written: no path of this machine."""
        try:
            yield
        except DatabaseAway:
            raise KEPT("kept_unavailable", headers={"Retry-After": "5"}) from None
        except ServiceError:
            raise
        except InputError as error:
            raise KEPT("kept_unwritable") from error

    def _opened(self) -> Store:
        from core.jobs.store import Store

        with self._opening:
            if self._store is None:
                self._store = Store()
            return self._store

    def _start(self) -> None:
        with self._opening:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="kept-requests", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        """Work on the queue until the end; a database that is away is waited for."""
        from core.jobs.runtime import Worker

        config = JobsConfig(
            queues=[self._queue],
            concurrency=self._together,
            beat_s=_BEAT_S,
            dead_after_s=_DEAD_AFTER_S,
            grace_s=0.0,
        )
        while not self._closing.is_set():
            try:
                worker = Worker(self._opened(), {JOB: self.work}, config, self._log)
                self._stop = worker.stop
                if not self._closing.is_set():
                    worker.run()
            except Exception as error:
                if self._log is not None:
                    self._log.event("worker_troubled", type=type(error).__name__, where=where_of(error))
                self._closing.wait(_AGAIN_S)

    def _sweep(self, store: Store) -> None:
        """Now and then remove what has expired: jobs with their requests, and answers."""
        from core.jobs.queue import forget

        if time.monotonic() - self._swept < _SWEEP_S:
            return
        self._swept = time.monotonic()
        forget(store, JOB, datetime.now(UTC) - timedelta(hours=self.hours))
        oldest = time.time() - 3600 * self.hours
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_mtime < oldest:
                    path.unlink()


async def _awaited(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await work
