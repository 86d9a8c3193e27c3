"""The engine: one thread that owns the model and draws many images at once, step by step.

Images of different steps, guidance, scheduler and seed share a batch of the U-Net, and join or leave it between steps
(continuous batching, as Yu et al. 2022, "Orca", OSDI, does for text). Those of another size or adapter form groups of
their own, which take turns. An image's bytes depend on its recipe alone; `self_test` says how.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.batch import DenoisingState, predict
from apps.imagegen.models.job import (
    Cancelled,
    EngineClosed,
    Event,
    Job,
    Kind,
    Probe,
    QueueFull,
    preview_steps,
)
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import AdapterSource, complete_recipe
from apps.imagegen.models.self_test import Proofs
from apps.imagegen.models.text_states import TextStates
from core.compute.threads import release_workers
from core.errors import InternalFault, TriptychError

__all__ = ["Cancelled", "Engine", "EngineClosed", "Event", "Job", "QueueFull", "AdapterSource"]

_BATCHES = (4, 8, 16, 32, 64)
_SHARE = 0.2  # of the newest in the running mean of seconds between two images
_log = logging.getLogger(__name__)


class _Group(tuple[int, int, int, str | None, float, str | None]):
    """What rows of one batch have in common: width, height, chunks of text, adapter, its scale and digest."""

    @classmethod
    def of(cls, recipe: Recipe) -> _Group:
        scale = recipe.adapter_scale if recipe.adapter is not None else 1.0
        shape = recipe.width, recipe.height, recipe.text_chunks
        return cls((*shape, recipe.adapter, scale, recipe.adapter_digest))


class Engine:
    """Draws what is submitted, in a thread of its own; any thread may submit. A context manager that drains at its end.

    rows: most rows of a batch, at least 4; an image takes two, or one without guidance. waiting: most images that may
    wait to begin. sizes: (width, height) of pictures that shall not stop the others when the first of them comes; their
    batches are proven now. observe: told of every event of every job, in the engine's thread: it must return at once.
    Ready to draw when the constructor returns, self-test included. Raises what the self-test raises.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        rows: int = 16,
        waiting: int = 64,
        adapters: AdapterSource | None = None,
        sizes: Sequence[tuple[int, int]] = (),
        observe: Callable[[Event], None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._batches = tuple(size for size in _BATCHES if size <= max(rows, _BATCHES[0]))
        self._most_waiting = waiting
        self._adapters = adapters
        self._observe = observe
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: OrderedDict[_Group, list[_Running]] = (
            OrderedDict()
        )  # the group whose turn it is comes first
        self._proven_first = tuple(sizes)
        self._proofs = Proofs(pipeline, self._batches)
        self._texts = TextStates(pipeline)
        self._closing = False
        self._fault: BaseException | None = None
        self._between_s: float | None = None
        self._last_end = time.monotonic()
        self._ready = threading.Event()
        release_workers()
        self._thread = threading.Thread(target=self._live, name="imagegen-engine", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            raise self._fault

    def submit(
        self,
        recipe: Recipe,
        *,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        previews: int = 0,
        on_event: Callable[[Event], None] | None = None,
        probe: Probe | None = None,
    ) -> Job:
        """Ask for an image and return at once.

        image: rgb_HWC uint8 to start from, mask: mask_HW bool, True where to paint, both of the recipe's size.
        previews: partial pictures to be told of, spread evenly, the first in the first quarter. on_event: called in the
        engine's thread, must return at once; what it raises fails this job.
        Raises RecipeError, QueueFull (queue_full), EngineClosed (engine_closed), InputError of the adapter.
        """
        whole = complete_recipe(self.pipeline, self._adapters, recipe, image, mask)
        if self._adapters is not None and whole.adapter is not None and whole.adapter_digest is not None:
            self._adapters.load(whole.adapter, whole.adapter_digest, whole.adapter_scale)
        job = Job(
            whole,
            image=image,
            mask=mask,
            previews=previews,
            on_event=on_event,
            on_cancel=self._wake,
            probe=probe,
        )
        with self._changed:
            if self._closing or self._fault is not None:
                raise EngineClosed("engine_closed", "no more pictures are drawn: the engine is closing")
            if len(self._waiting) >= self._most_waiting:
                after_s = max(1.0, (self._between_s or 1.0) * len(self._waiting) / 2)
                raise QueueFull(
                    "queue_full",
                    f"{len(self._waiting)} pictures wait already: try again in {after_s:.0f} s",
                    after_s,
                )
            self._waiting.append(job)
            self._changed.notify()
        return job

    def busy(self) -> tuple[int, int]:
        """Return how many images are being drawn, and how many wait."""
        with self._changed:
            return sum(len(group) for group in self._running.values()), len(self._waiting)

    def close(self, *, drain: bool = True) -> None:
        """Take no more images, draw those that were taken (drain) or cancel them, and end the thread."""
        with self._changed:
            self._closing = True
            left = (
                []
                if drain
                else [*self._waiting, *(one.job for group in self._running.values() for one in group)]
            )
        for job in left:
            job.cancel()
        self._wake()
        self._thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=error is None)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # Everything below runs in the engine's thread.

    def _live(self) -> None:
        try:
            with torch.inference_mode():
                for size in dict.fromkeys([self.pipeline.own_size, *self._proven_first]):
                    self._proofs.batches(size)
                self._ready.set()
                while self._turn():
                    pass
        except BaseException as error:
            self._fault = error
            _log.critical("the engine died of %s", type(error).__name__)
            self._abandon()
        finally:
            self._ready.set()

    def _abandon(self) -> None:
        with self._changed:
            left = [*self._waiting, *(one.job for group in self._running.values() for one in group)]
            self._waiting.clear()
            self._running.clear()
        for job in left:
            error = EngineClosed("engine_closed", "the engine ended before this picture was drawn")
            with contextlib.suppress(Exception):  # whoever listens fails by its own fault
                self._tell(job, "failed", 0, 0, error=error)
            job.end(None, error)

    def _turn(self) -> bool:
        """Take one step with one group; wait where there is none. False once closed and empty."""
        with self._changed:
            while not self._waiting and not any(self._running.values()):
                if self._closing:
                    return False
                self._changed.wait()
        self._drop_cancelled()
        with self._changed:
            asked = dict.fromkeys(_Group.of(job.recipe) for job in self._waiting)
            for empty in [one for one, begun in self._running.items() if not begun and one not in asked]:
                del self._running[empty]
            for one in asked:
                self._running.setdefault(one, [])
            if not self._running:
                return True
            group = next(iter(self._running))
            self._running.move_to_end(group)
        try:
            with self._using(group):
                self._step(group)
        except Exception as error:  # an adapter that cannot be used, or a defect: this group's own
            for job in self._of(group):
                self._end(job, error=error)
        return True

    def _of(self, group: _Group) -> list[Job]:
        """Return the jobs of a group, those that wait too, oldest first."""
        with self._changed:
            begun = [one.job for one in self._running[group]]
            return begun + [job for job in self._waiting if _Group.of(job.recipe) == group]

    def _using(self, group: _Group) -> AbstractContextManager[None]:
        _, _, _, name, scale, digest = group
        if self._adapters is None or name is None:
            return contextlib.nullcontext()
        return self._adapters.use(name, scale, digest)

    def _step(self, group: _Group) -> None:
        sizes = self._sizes_of(group)
        self._admit(group, sizes)
        batch = list(self._running[group])
        if not batch:
            return
        for one, found in self._predict(batch, sizes or _BATCHES[:1]):
            try:
                one.drawing.advance(found)
                self._tell_step(one)
            except Exception as error:
                self._end(one.job, error=error)

    def _predict(self, batch: Sequence[_Running], sizes: Sequence[int]) -> list[tuple[_Running, Tensor]]:
        """Return the U-Net's answers; where it fails at them all, ask one by one, and end those at which it fails."""
        try:
            with self._watched(batch):
                found = predict(self.pipeline, [one.drawing for one in batch], sizes)
            return list(zip(batch, found, strict=True))
        except Exception as error:
            if len(batch) == 1:
                self._end(batch[0].job, error=error)
                return []
            return [pair for one in batch for pair in self._predict([one], sizes)]

    @contextlib.contextmanager
    def _watched(self, batch: Sequence[_Running]) -> Iterator[None]:
        """Let the jobs' probes look at the U-Net's call inside the block, each at the last of its image's rows."""
        with contextlib.ExitStack() as stack:
            row = -1
            for one in batch:
                row += one.drawing.rows
                if one.job.probe is not None:
                    stack.enter_context(one.job.probe.watching(self.pipeline.unet, row))
            yield

    def _admit(self, group: _Group, sizes: tuple[int, ...]) -> None:
        """Let waiting images of a group begin, in their order, while their rows fit."""
        free = (sizes[-1] if sizes else 0) - sum(one.drawing.rows for one in self._running[group])
        while True:
            with self._changed:
                ours = (job for job in self._waiting if _Group.of(job.recipe) == group and not job.cancelled)
                job = next(ours, None)
                alone = not sizes and not self._running[group]
                if job is None or (job.rows > free and not alone):
                    return
                self._waiting.remove(job)
            free -= job.rows
            try:
                one = _Running(job, self._begin(job))
                with self._changed:
                    self._running[group].append(one)
                self._tell(job, "started", 0, one.drawing.steps)
            except Exception as error:
                self._end(job, error=error)

    def _begin(self, job: Job) -> DenoisingState:
        recipe = job.recipe
        texts = [recipe.negative, recipe.prompt] if job.rows == 2 else [recipe.prompt]
        key = _Group.of(recipe)[2:]
        states = torch.cat([self._texts.states(text, recipe.text_chunks, key) for text in texts])
        return DenoisingState(self.pipeline, recipe, states, job.image, job.mask)

    def _sizes_of(self, group: _Group) -> tuple[int, ...]:
        """Return the batch sizes proven for a group's pictures, which an adapter does not change.

        (): none: pictures are drawn one by one. So are those of long texts, whose shapes are too many for a proof.
        """
        width, height, chunks, *_ = group
        return self._proofs.batches((width, height)) if chunks == 1 else ()

    def _tell_step(self, one: _Running) -> None:
        job, drawing = one.job, one.drawing
        self._tell(job, "step", drawing.done, drawing.steps)
        if job.cancelled:
            return
        if drawing.done == drawing.steps:
            self._end(job, rgb_HWC=drawing.picture(self.pipeline), steps=drawing.steps)
        elif drawing.done in one.shown:
            seen_HWC = drawing.picture(self.pipeline, drawing.foreseen_1Lhw)
            self._tell(job, "preview", drawing.done, drawing.steps, rgb_HWC=seen_HWC)

    def _drop_cancelled(self) -> None:
        with self._changed:
            begun = [one.job for group in self._running.values() for one in group]
            given_up = [job for job in [*begun, *self._waiting] if job.cancelled]
        for job in given_up:
            self._end(job, error=Cancelled("cancelled", "the picture was cancelled"))

    def _end(
        self, job: Job, rgb_HWC: np.ndarray | None = None, error: Exception | None = None, steps: int = 0
    ) -> None:
        """Take a job out, tell of its end, and let its result be had."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            for group in self._running.values():
                group[:] = [one for one in group if one.job is not job]
        if error is not None and not isinstance(error, TriptychError):
            fault = InternalFault("drawing_failed", f"the picture could not be drawn: {type(error).__name__}")
            fault.__cause__ = error
            error = fault
        kind: Kind = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        try:
            self._tell(job, kind, steps, steps, rgb_HWC=rgb_HWC, error=error)
        except Exception as heard:  # whoever listens fails by its own fault, but its job only
            error = error or heard
        if error is None:
            self._count(job)
        job.end(rgb_HWC, error)

    def _tell(
        self,
        job: Job,
        kind: Kind,
        step: int,
        steps: int,
        *,
        rgb_HWC: np.ndarray | None = None,
        error: BaseException | None = None,
    ) -> None:
        event = Event(job, kind, step, steps, time.monotonic() - job.submitted, rgb_HWC, error)
        if self._observe is not None:
            try:
                self._observe(event)
            except Exception as fault:
                _log.error("whoever observes the engine failed: %s", type(fault).__name__)
        if job.on_event is not None:
            job.on_event(event)

    def _count(self, job: Job) -> None:
        now = time.monotonic()
        between = now - max(self._last_end, job.submitted)
        self._last_end = now
        self._between_s = (
            between if self._between_s is None else self._between_s + _SHARE * (between - self._between_s)
        )


class _Running:
    """A job whose image is under way."""

    def __init__(self, job: Job, drawing: DenoisingState) -> None:
        self.job, self.drawing = job, drawing
        self.shown = preview_steps(job.previews, drawing.steps)
