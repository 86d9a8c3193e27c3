"""Many images through the engine, in the order in which they were asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.engine import Engine, Job
from apps.imagegen.models.job import Probe
from core.errors import TriptychError


@dataclass(frozen=True, eq=False)
class Wanted:
    """One image to draw. image: rgb_HWC uint8 to start from. mask: mask_HW bool, True where to paint."""

    recipe: Recipe
    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    probe: Probe | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What became of it. recipe: whole, as the engine took it. outcome: rgb_HWC uint8, or why there is none."""

    wanted: Wanted
    recipe: Recipe
    outcome: np.ndarray | TriptychError

    def picture(self) -> np.ndarray:
        """Return rgb_HWC uint8, or raise what kept it from being drawn."""
        if isinstance(self.outcome, TriptychError):
            raise self.outcome
        return self.outcome


def draw_all(engine: Engine, wanted: Iterable[Wanted], at_once: int) -> Iterator[Drawn]:
    """Draw images and yield them in their order; one that fails does not stop the others.

    at_once: images that the engine is given at a time, no more than may wait there. An iteration that is given up, by
    Ctrl-C too, cancels what is under way. Raises what Engine.submit raises.
    """
    under_way: deque[tuple[Wanted, Job]] = deque()
    try:
        for one in wanted:
            job = engine.submit(one.recipe, image=one.image, mask=one.mask, probe=one.probe)
            under_way.append((one, job))
            if len(under_way) == at_once:
                yield _finished(under_way)
        while under_way:
            yield _finished(under_way)
    finally:
        for _, job in under_way:
            job.cancel()


def _finished(under_way: deque[tuple[Wanted, Job]]) -> Drawn:
    one, job = under_way[0]  # left in its place until it is done, so that Ctrl-C finds it
    try:
        drawn = Drawn(one, job.recipe, job.result())
    except TriptychError as error:
        drawn = Drawn(one, job.recipe, error)
    under_way.popleft()
    return drawn
