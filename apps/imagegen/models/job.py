"""One image that was submitted to the engine: its recipe, its events, its result, and how to cancel it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from apps.imagegen.data.recipe import Recipe

Kind = Literal["started", "step", "preview", "done", "failed", "cancelled"]
_FIRST_PREVIEW = 0.15  # of all steps; what a picture will show can be guessed by then


class Probe(Protocol):
    """Looks on while one image is drawn, and changes nothing: models.attention_probe."""

    def watching(self, denoiser: Any, row: int) -> AbstractContextManager[None]:
        """Look at one call of the denoiser, inside the block. row: the image's conditional one of the batch."""


@dataclass(frozen=True)
class Event:
    """What happened to a job, sent in the engine's thread. seconds: since it was submitted. steps: its own in all.

    rgb_HWC: of "preview" and "done". error: of "failed" and "cancelled".
    """

    job: Job
    kind: Kind
    step: int
    steps: int
    seconds: float
    rgb_HWC: np.ndarray | None = None
    error: BaseException | None = None


class Job:
    """One image that was asked for. recipe: whole, with size, model and digests. previews: how many are wanted."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        previews: int = 0,
        on_event: Callable[[Event], None] | None = None,
        on_cancel: Callable[[], None] = lambda: None,
        probe: Probe | None = None,
    ) -> None:
        self.recipe = recipe
        self.image, self.mask = image, mask
        self.previews = previews
        self.on_event = on_event
        self.probe = probe
        self.submitted = time.monotonic()
        self._on_cancel = on_cancel
        self._cancelled = threading.Event()
        self._future: Future[np.ndarray] = Future()

    @property
    def rows(self) -> int:
        """Rows of a batch that it takes: two with guidance, else one."""
        return 2 if self.recipe.guidance > 1 else 1

    @property
    def cancelled(self) -> bool:
        """Whether it is to be given up."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask for its end: the engine frees its slot in the batch or the queue before its next step.

        A job that is done stays done. Any thread may call this.
        """
        self._cancelled.set()
        self._on_cancel()

    def done(self) -> bool:
        """Tell whether `result` returns, or raises, at once."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> np.ndarray:
        """Wait for the image, rgb_HWC uint8. timeout: in seconds, then TimeoutError.

        Raises Cancelled, EngineClosed, or what kept this image from being drawn.
        """
        return self._future.result(timeout)

    def end(self, rgb_HWC: np.ndarray | None, error: BaseException | None) -> None:
        """Let `result` return or raise; called once, by the engine."""
        self.image = self.mask = None
        if error is not None:
            self._future.set_exception(error)
        elif rgb_HWC is not None:
            self._future.set_result(rgb_HWC)


def preview_steps(previews: int, steps: int) -> tuple[int, ...]:
    """Return after which of an image's steps (1 is the first) it is shown unfinished: evenly spread, early at first.

    Never after the last, so images of few steps may have fewer previews than wanted.
    """
    spread = (1 - _FIRST_PREVIEW) / max(previews, 1)
    numbers = (max(1, int(steps * (_FIRST_PREVIEW + spread * one))) for one in range(previews))
    return tuple(dict.fromkeys(number for number in numbers if number < steps))
