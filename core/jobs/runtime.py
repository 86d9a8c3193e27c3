"""The worker: runs waiting jobs, submits those that are due, requeues those of dead workers, stops cleanly."""

from __future__ import annotations

import contextlib
import importlib
import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer, WorkflowSerializationFormat, WorkflowStatus

from core.errors import TriptychError, frames_of, where_of
from core.jobs.config import JobsConfig
from core.jobs.context import JobExpired, JobStopped, run_tries
from core.jobs.heartbeat import Watch, beat, sign_off, take_over
from core.jobs.queue import SHOWN, WORKFLOW, expired
from core.jobs.reasons import FAULTS, JOB
from core.jobs.schedule import tick
from core.jobs.store import APP, Store
from core.jobs.wake import Wake
from core.runs.log import RunLog

PROGRESS_S = 1.0  # a job's progress is written no more often
_one_worker = threading.Lock()  # DBOS keeps its runtime in a global: one a process


class Worker:
    """A worker on an open store, until `stop`.

    jobs: name → function, or "module:function" that is imported when the first such job comes. A function takes
    the job's arguments by keyword and returns plain JSON. log: where events go, with job names and the first
    digits of ids, never arguments or keys. clock: the time that schedules and deadlines go by.
    """

    def __init__(
        self,
        store: Store,
        jobs: Mapping[str, str | Callable[..., Any]],
        config: JobsConfig | None = None,
        log: RunLog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.id = secrets.token_hex(SHOWN // 2)
        self.store = store
        self.jobs = dict(jobs)
        self.config = config or JobsConfig()
        self.log = log
        self.clock = clock
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._running: list[str] = []  # a job twice, where it was cancelled and started again meanwhile
        self._idle: dict[str, float] = {}
        self._watch = Watch()
        self._wake = Wake()

    def run(self) -> bool:
        """Work until `stop` is called; return whether everything has ended.

        A job that runs at the stop has `grace_s` to finish or to reach its next `check()`; what is left is given back,
        to be started by another worker. False: a thread of such a job still runs, and only the end of the process
        ends it.
        """
        if not _one_worker.acquire(blocking=False):
            raise FAULTS("worker_second")
        heartbeat = threading.Thread(target=self._keep_alive, name="jobs-heartbeat", daemon=True)
        try:
            self._launch()
            heartbeat.start()
            self.event("worker_started", item=self.id)
            while not self._stopping.wait(0.5):
                pass  # a signal that another thread got is handled here, at the next turn
        finally:
            self._stopping.set()
            try:
                left = self._shut_down()
                self._ended.set()
                if heartbeat.is_alive():
                    heartbeat.join()  # before the row goes: it would put it back
                sign_off(self.store, self.id)
                self.event("worker_stopped", item=self.id, count=left)
            finally:
                self._ended.set()
                _one_worker.release()
        return _threads_ended()

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler or another thread, and more than once."""
        self._stopping.set()

    @property
    def stopping(self) -> threading.Event:
        """Set once the worker is to stop."""
        return self._stopping

    def event(self, name: str, /, **fields: Any) -> None:
        """Write a line to the log, if there is one."""
        if self.log is not None:
            self.log.event(name, **fields)

    def _launch(self) -> None:
        beat(self.store, self.id)
        dbos = DBOS(
            config={
                "name": APP,
                "system_database_url": self.store.url,
                "application_version": APP,
                "executor_id": self.id,
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "CRITICAL",
                "scheduler_polling_interval_sec": 3600.0,
            }
        )
        DBOS.listen_queues(self.config.queues)
        for queue in self.config.queues:
            self.store.client.register_queue(
                queue,
                worker_concurrency=self.config.concurrency,
                global_concurrency=self.config.concurrency_total,
                polling_interval_sec=self.config.poll_s,
            )

        @DBOS.workflow(
            name=WORKFLOW,
            max_recovery_attempts=self.config.takeovers,
            serialization_type=WorkflowSerializationFormat.PORTABLE,
        )
        def run(name: str, arguments: dict[str, Any], _key: str | None) -> Any:
            job = str(DBOS.workflow_id)
            self._running.append(job)
            try:
                return self._work(job, name, arguments)
            finally:
                self._running.remove(job)
                self._wake.job_ended()

        DBOS.launch()
        self._wake.attach(dbos.background_thread_stop_events)

    def _work(self, job: str, name: str, arguments: dict[str, Any]) -> Any:
        """Run one job; what goes wrong becomes an error whose code and sentence DBOS keeps."""
        item, began = job[:SHOWN], time.monotonic()
        self.event("job_started", item=item, name=name)
        try:
            result = run_tries(
                _WorkerContext(self, job, name),
                self._function(name),
                arguments,
                self.config.attempts,
                self.config.pause_s,
                random.Random(job),
            )
        except JobExpired as end:
            self.event("job_failed", item=item, name=name, code="job_expired")
            raise JOB("job_expired", deadline=end.deadline) from None
        except JobStopped:
            self.event("job_stopped", item=item, name=name)
            raise
        except TriptychError as error:
            self.event("job_failed", item=item, name=name, code=error.code)
            raise
        except BaseException as error:  # also what calls sys.exit: the job must not stay "running" for ever
            frames = frames_of(error)
            error_type, where = type(error).__name__, where_of(error)
            self.event(
                "job_failed", item=item, name=name, code="fault", type=error_type, where=where, frames=frames
            )
            raise FAULTS("fault", what=f"{error_type} at {where}") from None
        exit_code = result.get("exit_code") if isinstance(result, dict) else None
        ending = {"exit_code": exit_code} if isinstance(exit_code, int) else {}
        self.event("job_done", item=item, name=name, seconds=round(time.monotonic() - began, 3), **ending)
        return result

    def _function(self, name: str) -> Callable[..., Any]:
        target = self.jobs.get(name)
        if target is None:
            known = ", ".join(sorted(self.jobs)) or "none"
            raise JOB("job_not_registered", name=name, known=known)
        if isinstance(target, str):
            module, _, function = target.partition(":")
            target = getattr(importlib.import_module(module), function)
        return target

    def _keep_alive(self) -> None:
        """Every `beat_s`: take over, requeue orphans, submit what is due, beat. Only the worker's end may end this."""
        noted: set[str] = set()
        while not self._ended.wait(self.config.beat_s):
            faults: set[str] = set()
            for duty in (
                self._take_over,
                self._requeue_orphans,
                self._submit_due,
                lambda: beat(self.store, self.id),
            ):
                try:
                    duty()
                except Exception as error:  # the database may be away for a while
                    error_type, where = type(error).__name__, where_of(error)
                    faults.add(where)
                    if where not in noted:
                        self.event("worker_troubled", type=error_type, where=where)
            noted = faults

    def _take_over(self) -> None:
        if not self._stopping.is_set():
            for job in take_over(self.store, self.id, self.config.dead_after_s, self._watch):
                self.event("job_taken_over", item=job[:SHOWN])

    def _requeue_orphans(self) -> None:
        """Requeue jobs that are held by this worker and do not run: their outcome could not be written."""
        claimed = {status.workflow_id: status for status in self._claimed()}
        now = time.monotonic()
        self._idle = {job: self._idle.get(job, now) for job in claimed.keys() - set(self._running)}
        for job, since in self._idle.items():
            if now - since >= self.config.dead_after_s:
                self._give_back(claimed[job])
                self.event("job_forgotten", item=job[:SHOWN])

    def _claimed(self) -> list[WorkflowStatus]:
        return self.store.client.list_workflows(
            name=WORKFLOW, status="PENDING", executor_id=self.id, load_input=False, load_output=False
        )

    def _give_back(self, job: WorkflowStatus) -> None:
        self.store.client.resume_workflow(job.workflow_id, queue_name=(job.attributes or {}).get("queue"))

    def _submit_due(self) -> None:
        if not self._stopping.is_set():
            for job in tick(self.store, self.clock()):
                self.event("job_due", item=job[:SHOWN])

    def _shut_down(self) -> int:
        """Start no more jobs, wait for running ones, requeue the rest; return how many."""
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=math.ceil(self.config.grace_s))
        left = self._claimed()
        for job in left:
            self._give_back(job)
        return len(left)


class _WorkerContext:
    """The JobContext of a job that a worker runs."""

    def __init__(self, worker: Worker, job: str, name: str) -> None:
        self.worker = worker
        self.job = job
        self.name = name
        self._written = -math.inf

    def check(self) -> None:
        """Stop also when another worker has taken the job over: then this one was thought dead."""
        if self.worker.stopping.is_set():
            raise JobStopped
        try:
            statuses = self.worker.store.client.list_workflows(
                workflow_ids=[self.job], load_input=False, load_output=False
            )
        except sa.exc.SQLAlchemyError:
            return  # an outage of the database is no reason to stop; the heartbeat logs it
        if [(one.status, one.executor_id) for one in statuses] != [("PENDING", self.worker.id)]:
            raise JobStopped
        deadline = expired(statuses[0], self.worker.clock())
        if deadline is not None:
            raise JobExpired(deadline)

    def pause(self, seconds: float) -> None:
        self.worker.stopping.wait(seconds)

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._written < PROGRESS_S:
            return
        self._written = now
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # the next report may get through
            self.worker.store.client.update_workflow_attributes(
                self.job, {"progress": [done, total]}, merge=True
            )

    def event(self, name: str, /, **fields: Any) -> None:
        self.worker.event(name, item=self.job[:SHOWN], **fields)

    def failed_once(self, error: Exception, tries: int) -> None:
        self.worker.event(
            "job_retried",
            item=self.job[:SHOWN],
            name=self.name,
            count=tries,
            type=type(error).__name__,
            where=where_of(error),
        )


def _threads_ended() -> bool:
    """Whether DBOS's threads have ended; one that is about to gets a moment."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("dbos-executor")]
    for thread in threads:
        thread.join(0.5)
    return not any(thread.is_alive() for thread in threads)
