"""Many images through the engine, in the order in which they were asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Job, Probe
from core.errors import TriptychError


@dataclass(frozen=True, eq=False)
class ImageSpec:
    """One image to draw. image: rgb_HWC uint8 to start from. mask: mask_HW bool, True where to paint."""

    recipe: Recipe
    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    probe: Probe | None = None


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The result of one ImageSpec. recipe: whole, as the engine took it. outcome: rgb_HWC uint8, or the error."""

    spec: ImageSpec
    recipe: Recipe
    outcome: np.ndarray | TriptychError

    def picture(self) -> np.ndarray:
        """Return rgb_HWC uint8, or raise what kept it from being drawn."""
        if isinstance(self.outcome, TriptychError):
            raise self.outcome
        return self.outcome


def draw_all(engine: Engine, specs: Iterable[ImageSpec], at_once: int) -> Iterator[ImageResult]:
    """Draw images and yield them in their order; one that fails does not stop the others.

    at_once: images that the engine is given at a time, no more than may wait there. An iteration that is given up, by
    Ctrl-C too, cancels what is under way. Raises what Engine.submit raises.
    """
    under_way: deque[tuple[ImageSpec, Job]] = deque()
    try:
        for spec in specs:
            job = engine.submit(spec.recipe, image=spec.image, mask=spec.mask, probe=spec.probe)
            under_way.append((spec, job))
            if len(under_way) == at_once:
                yield _finished(under_way)
        while under_way:
            yield _finished(under_way)
    finally:
        for _, job in under_way:
            job.cancel()


def _finished(under_way: deque[tuple[ImageSpec, Job]]) -> ImageResult:
    # It stays in the queue until it is done, so that Ctrl-C cancels it too.
    spec, job = under_way[0]
    try:
        result = ImageResult(spec, job.recipe, job.result())
    except TriptychError as error:
        result = ImageResult(spec, job.recipe, error)
    under_way.popleft()
    return result
