"""The engine: one thread that owns the model and draws many images at once, step by step.

`batch_scheduler` decides who draws when, `engine_core` takes the steps; here is the thread, and the way in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
import torch

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.batch_scheduler import BatchScheduler
from apps.imagegen.models.engine_core import EngineCore
from apps.imagegen.models.job import Event, Job, Probe
from apps.imagegen.models.job_events import JobEvents
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import AdapterSource, complete_recipe
from apps.imagegen.models.throughput import Throughput
from core.compute.threads import release_workers

_log = logging.getLogger(__name__)


class Engine:
    """Draws what is submitted, in a thread of its own; any thread may submit. A context manager that drains at its end.

    rows: most rows of a batch, at least 4; an image takes two, or one without guidance. waiting: most images that may
    wait to begin. sizes: (width, height) of pictures that shall not stop the others when the first of them comes; their
    batches are proven now. observe: gets every event of every job, in the engine's thread: it must return at once.
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
        self._adapters = adapters
        self._proven_first = (pipeline.own_size, *sizes)
        throughput = Throughput()
        self._scheduler = BatchScheduler(waiting, throughput)
        self._core = EngineCore(
            pipeline,
            self._scheduler,
            rows=rows,
            adapters=adapters,
            throughput=throughput,
            events=JobEvents(observe),
        )
        self._fault: BaseException | None = None
        self._ready = threading.Event()
        self._changed = threading.Event()
        release_workers()
        self._thread = threading.Thread(target=self._run, name="imagegen-engine", daemon=True)
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
        """Ask for an image and return at once. Raises what `complete_recipe` and `enqueue` raise.

        image: rgb_HWC uint8 to start from, mask: mask_HW bool, True where to paint, both of the recipe's size.
        previews: partial pictures to be sent, spread evenly, the first in the first quarter. on_event: called in the
        engine's thread, must return at once; what it raises fails this job.
        """
        whole = complete_recipe(self.pipeline, self._adapters, recipe, image, mask)
        return self.enqueue(whole, image=image, mask=mask, previews=previews, on_event=on_event, probe=probe)

    def enqueue(
        self,
        whole: Recipe,
        *,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        previews: int = 0,
        on_event: Callable[[Event], None] | None = None,
        probe: Probe | None = None,
    ) -> Job:
        """Submit a recipe as `complete_recipe` gave it for these pictures: nothing is checked again.

        Raises QueueFull (queue_full), EngineClosed (engine_closed), InputError of the adapter.
        """
        if self._adapters is not None and whole.adapter is not None and whole.adapter_digest is not None:
            self._adapters.load(whole.adapter, whole.adapter_digest, whole.adapter_scale)
        job = Job(
            whole,
            image=image,
            mask=mask,
            previews=previews,
            on_event=on_event,
            on_cancel=self._changed.set,
            probe=probe,
        )
        self._scheduler.add(job)
        self._changed.set()
        return job

    def busy(self) -> tuple[int, int]:
        """Return how many images are being drawn, and how many wait."""
        return self._scheduler.busy()

    def close(self, *, drain: bool = True) -> None:
        """Take no more images, draw those that were taken (drain) or cancel them, and end the thread."""
        self._scheduler.close()
        if not drain:
            for job in self._scheduler.jobs():
                job.cancel()
        self._changed.set()
        self._thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=error is None)

    def _run(self) -> None:
        """The thread: a step after the other; where there is none, wait for a change."""
        try:
            with torch.inference_mode():
                self._core.prove(self._proven_first)
                self._ready.set()
                while not self._scheduler.drained():
                    # Cleared first: what changes during the step is seen by the next one.
                    self._changed.clear()
                    if not self._core.step() and not self._scheduler.drained():
                        self._changed.wait()
        except BaseException as error:
            self._fault = error
            _log.critical("the engine died of %s", type(error).__name__)
            self._scheduler.close()
            self._core.abandon()
        finally:
            self._ready.set()
