"""Holds an engine at a point of one job, so that a test knows what else is there meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Event, Job

SECONDS = 60
APPLE = Recipe("red apple", steps=4)


class Gate:
    """Holds the engine at a job's first event of one kind until it is opened: others can be submitted meanwhile."""

    def __init__(self, kind: str = "started") -> None:
        self.reached, self.opened, self._kind = threading.Event(), threading.Event(), kind

    def __call__(self, event: Event) -> None:
        if event.kind == self._kind:
            self.reached.set()
            assert self.opened.wait(SECONDS)

    @contextlib.contextmanager
    def held(self, engine: Engine, recipe: Recipe = APPLE) -> Iterator[Job]:
        job = engine.submit(recipe, on_event=self)
        assert self.reached.wait(SECONDS)
        try:
            yield job
        finally:
            self.opened.set()
