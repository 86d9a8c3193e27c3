"""Which images share a batch, and which wait: the engine's policy, without thread, network or clock.

Images of one size, text length and adapter form a group. Groups take turns, one denoising step each. Within its group
an image begins in the order of submission, at a step's boundary, as soon as its rows fit into the greatest batch
(continuous batching, Yu et al. 2022, "Orca", OSDI). One step of the engine, as `EngineCore.step` takes it:

    for job in scheduler.cancelled(): scheduler.release(job)
    group = scheduler.next_group()
    while (job := scheduler.admit(group, sizes)) is not None: ...   # begin it
    for job in scheduler.running(group): ...                        # one step; release(job) after its last
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.job import Job
from apps.imagegen.models.throughput import Throughput
from apps.imagegen.reasons import ENGINE, QUEUE


class Group(NamedTuple):
    """What the images of one batch have in common; sizes in pixels, digest of the adapter's file."""

    width: int
    height: int
    text_chunks: int
    adapter: str | None
    adapter_scale: float
    adapter_digest: str | None

    @classmethod
    def of(cls, recipe: Recipe) -> Group:
        """Return the group of a whole recipe; without an adapter its scale makes no difference."""
        scale = recipe.adapter_scale if recipe.adapter is not None else 1.0
        shape = recipe.width, recipe.height, recipe.text_chunks
        return cls(*shape, recipe.adapter, scale, recipe.adapter_digest)


class BatchScheduler:
    """The jobs that wait and those that run, by group. Each call is atomic: any thread may make it.

    most_waiting: jobs that may wait to begin.
    """

    def __init__(self, most_waiting: int, throughput: Throughput) -> None:
        self._most_waiting = most_waiting
        self._throughput = throughput
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: list[Job] = []
        # The group whose turn it is comes first.
        self._running: OrderedDict[Group, list[Job]] = OrderedDict()

    def add(self, job: Job) -> None:
        """Let a job wait. Raises EngineClosed (engine_closed), QueueFull (queue_full)."""
        with self._lock:
            if self._closed:
                raise ENGINE("engine_closed")
            waiting = len(self._waiting)
            if waiting >= self._most_waiting:
                seconds = self._throughput.seconds_for(waiting / 2)
                error = QUEUE("queue_full", waiting=waiting, seconds=seconds)
                error.retry_after_s = seconds
                raise error
            self._waiting.append(job)

    def next_group(self) -> Group | None:
        """Return the group whose turn it is, and put it behind the others; None where no job waits or runs."""
        with self._lock:
            requested = dict.fromkeys(Group.of(job.recipe) for job in self._waiting)
            for empty in [one for one, jobs in self._running.items() if not jobs and one not in requested]:
                del self._running[empty]
            for group in requested:
                self._running.setdefault(group, [])
            if not self._running:
                return None
            group = next(iter(self._running))
            self._running.move_to_end(group)
            return group

    def admit(self, group: Group, sizes: Sequence[int]) -> Job | None:
        """Return the group's next job to begin, which runs from now on; None where none waits or its rows do not fit.

        sizes: of the batches that the group may be drawn in, ascending; (): its images are drawn one by one.
        """
        with self._lock:
            running = self._running[group]
            free = (sizes[-1] if sizes else 0) - sum(job.rows for job in running)
            alone = not sizes and not running
            for job in self._waiting:
                if Group.of(job.recipe) != group or job.cancelled:
                    continue
                # A younger one that would fit does not overtake.
                if job.rows > free and not alone:
                    return None
                self._waiting.remove(job)
                running.append(job)
                return job
            return None

    def running(self, group: Group) -> list[Job]:
        """Return the jobs of a group that share its next batch, the oldest first."""
        with self._lock:
            return list(self._running[group])

    def members(self, group: Group) -> list[Job]:
        """Return all jobs of a group: those that run, then those that wait."""
        with self._lock:
            return self._running[group] + [job for job in self._waiting if Group.of(job.recipe) == group]

    def jobs(self) -> list[Job]:
        """Return all jobs: those that run, then those that wait."""
        with self._lock:
            return self._jobs()

    def cancelled(self) -> list[Job]:
        """Return the jobs whose cancellation was asked for and whose slots are not free yet."""
        with self._lock:
            return [job for job in self._jobs() if job.cancelled]

    def release(self, job: Job) -> None:
        """Free a job's slot in the batch or the queue: it is done, failed or cancelled."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            for jobs in self._running.values():
                if job in jobs:
                    jobs.remove(job)

    def busy(self) -> tuple[int, int]:
        """Return how many jobs run, and how many wait."""
        with self._lock:
            return sum(map(len, self._running.values())), len(self._waiting)

    def close(self) -> None:
        """Take no more jobs; those that are here stay."""
        with self._lock:
            self._closed = True

    def drained(self) -> bool:
        """Tell whether it is closed and no job is left: none can come any more."""
        with self._lock:
            return self._closed and not self._jobs()

    def _jobs(self) -> list[Job]:
        return [job for jobs in self._running.values() for job in jobs] + self._waiting
