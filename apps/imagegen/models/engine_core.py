"""The engine's step, without its thread: admit, predict, advance, send events, release.

Images of different steps, guidance, sampler and seed share a batch of the U-Net, and join or leave it between steps;
`batch_scheduler` decides which. An image's bytes depend on its recipe alone; `self_test` says how.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from apps.imagegen.models.batch import DenoisingState, predict
from apps.imagegen.models.batch_scheduler import BatchScheduler, Group
from apps.imagegen.models.job import Job, preview_steps
from apps.imagegen.models.job_events import JobEvents
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import AdapterSource
from apps.imagegen.models.runtime import most_rows
from apps.imagegen.models.self_test import Proofs
from apps.imagegen.models.text_states import TextStates
from apps.imagegen.models.throughput import Throughput
from apps.imagegen.reasons import CANCELLED, ENGINE, RUNTIME

BATCHES = (4, 8, 16, 32, 64)


class EngineCore:
    """Computes what its scheduler decides; for one thread, which calls `step` as often as it returns True.

    rows: most rows of a batch, at least 4; an image takes two, or one without guidance.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        scheduler: BatchScheduler,
        *,
        rows: int,
        adapters: AdapterSource | None,
        throughput: Throughput,
        events: JobEvents,
    ) -> None:
        self._pipeline = pipeline
        self._scheduler = scheduler
        batches = tuple(size for size in BATCHES if size <= max(rows, BATCHES[0]))
        self._adapters = adapters
        self._throughput = throughput
        self._events = events
        self._proofs = Proofs(pipeline, tuple(size for size in batches if size <= most_rows(pipeline)))
        self._texts = TextStates(pipeline)
        self._states: dict[Job, DenoisingState] = {}

    def prove(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Find out which batches hold for images of these (width, height), so that their first one need not wait.

        Raises InputError runtime_rows where exported networks give a row other bits in each batch.
        """
        for size in dict.fromkeys(sizes):
            if not self._proofs.batches(size) and self._pipeline.runtime:
                raise RUNTIME("runtime_rows", runtime=self._pipeline.runtime.partition(":")[0])

    def step(self) -> bool:
        """Free the slots of cancelled jobs, and take one denoising step with one group; False where there is none."""
        for job in self._scheduler.cancelled():
            self._end(job, error=CANCELLED("cancelled"))
        group = self._scheduler.next_group()
        if group is None:
            return False
        try:
            with self._using(group):
                self._step(group)
        except Exception as error:  # an adapter that cannot be used, or a defect: this group's own
            for job in self._scheduler.members(group):
                self._end(job, error=error)
        return True

    def abandon(self) -> None:
        """End every job with EngineClosed: the engine dies."""
        for job in self._scheduler.jobs():
            self._end(job, error=ENGINE("engine_died"))

    def _using(self, group: Group) -> AbstractContextManager[None]:
        if self._adapters is None or group.adapter is None:
            return contextlib.nullcontext()
        return self._adapters.use(group.adapter, group.adapter_scale, group.adapter_digest)

    def _step(self, group: Group) -> None:
        sizes = self._sizes_of(group)
        while (job := self._scheduler.admit(group, sizes)) is not None:
            try:
                self._begin(job, group)
            except Exception as error:
                self._end(job, error=error)
        batch = self._scheduler.running(group)
        if not batch:
            return
        for job, answer_GLhw in self._predict(batch, sizes or BATCHES[:1]):
            try:
                self._advance(job, answer_GLhw)
            except Exception as error:
                self._end(job, error=error)

    def _sizes_of(self, group: Group) -> tuple[int, ...]:
        """Return the batch sizes proven for a group's images, which an adapter does not change.

        (): none: images are drawn one by one. So are those of long texts, whose shapes are too many for a proof.
        """
        return self._proofs.batches((group.width, group.height)) if group.text_chunks == 1 else ()

    def _begin(self, job: Job, group: Group) -> None:
        recipe = job.recipe
        texts = [recipe.negative, recipe.prompt] if job.rows == 2 else [recipe.prompt]
        weights = group.adapter, group.adapter_scale, group.adapter_digest
        states = torch.cat([self._texts.states(text, recipe.text_chunks, weights) for text in texts])
        self._states[job] = state = DenoisingState(self._pipeline, recipe, states, job.image, job.mask)
        self._events.send(job, "started", 0, state.steps)

    def _predict(self, batch: Sequence[Job], sizes: Sequence[int]) -> list[tuple[Job, Tensor]]:
        """Return the U-Net's answers; where it fails at them all, ask one by one, and end those at which it fails."""
        try:
            with self._probed(batch):
                answers = predict(self._pipeline, [self._states[job] for job in batch], sizes)
            return list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) == 1:
                self._end(batch[0], error=error)
                return []
            return [pair for job in batch for pair in self._predict([job], sizes)]

    @contextlib.contextmanager
    def _probed(self, batch: Sequence[Job]) -> Iterator[None]:
        """Let the jobs' probes watch the U-Net's call inside the block, each at the last of its image's rows."""
        with contextlib.ExitStack() as stack:
            row = -1
            for job in batch:
                row += self._states[job].rows
                if job.probe is not None:
                    stack.enter_context(job.probe.watching(self._pipeline.unet, row))
            yield

    def _advance(self, job: Job, answer_GLhw: Tensor) -> None:
        state = self._states[job]
        state.advance(answer_GLhw)
        self._events.send(job, "step", state.done, state.steps)
        if job.cancelled:
            return
        if state.done == state.steps:
            self._end(job, rgb_HWC=state.picture(self._pipeline), steps=state.steps)
        elif state.done in preview_steps(job.previews, state.steps):
            rgb_HWC = state.picture(self._pipeline, state.foreseen_1Lhw)
            self._events.send(job, "preview", state.done, state.steps, rgb_HWC=rgb_HWC)

    def _end(
        self, job: Job, *, rgb_HWC: np.ndarray | None = None, error: Exception | None = None, steps: int = 0
    ) -> None:
        """Free a job's slot, send its last event, and set its result."""
        self._scheduler.release(job)
        self._states.pop(job, None)
        if self._events.finish(job, rgb_HWC, error, steps):
            self._throughput.finished(job.submitted)
