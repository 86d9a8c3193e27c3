"""The pictures of one HTTP request: their jobs in the engine, and their events for their reader."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.job import Event, Job
from apps.imagegen.report.recipe_png import png_bytes
from apps.imagegen.service.reasons import SERVICE
from core.serving.errors import new_request_id

NOTES = "X-Notes"
ENDS = ("done", "failed", "cancelled")
_LONGEST_HEADER = 2000
# After which a reader without events checks whether the engine lives.
_SILENCE_S = 2.0


class GenerationRequest:
    """The pictures of one request; of several readers of `events` the newest gets them.

    keep_s: seconds that the pictures are drawn on for after their reader has gone, for another one to come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.id = new_request_id()
        self.jobs: list[Job] = []
        # Sentences on what was not done as asked, and those of them that follow from the recipe.
        self.notes: list[str] = []
        self.recipe_notes: tuple[str, ...] = ()
        self.on_release: Callable[[], object] = lambda: None
        self.keep_s = 0.0
        self._abandoned = False
        self._readers = 0
        self._read_out = False
        # The newest event of each kind, by picture.
        self._seen: dict[tuple[int, str], Event] = {}
        self._loop = loop
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()

    @property
    def recipes(self) -> list[Recipe]:
        """The whole recipe of each picture."""
        return [job.recipe for job in self.jobs]

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """Yield (picture, event) as they come, until every picture has ended.

        A second reader begins with the newest event of each kind. Raises ServiceError 503 where the engine has died:
        then no event says so.
        """
        self._readers += 1
        reader = self._readers
        for index, kind in sorted(self._seen, key=lambda key: (key[0], key[1] in ENDS)):
            yield index, self._seen[index, kind]
        while sum(kind in ENDS for _, kind in self._seen) < len(self.jobs) and reader == self._readers:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    index, event = await self._events.get()
            except TimeoutError:
                if self._events.empty() and all(job.done() for job in self.jobs):
                    raise SERVICE("engine_ended") from None
                continue
            self._seen[index, event.kind] = event
            if reader == self._readers:
                yield index, event
        self._read_out = reader == self._readers

    def detach(self) -> None:
        """The reader has gone: release, at once or after `keep_s` seconds in which no other one has come."""
        reader = self._readers
        if self._read_out or self.keep_s <= 0:
            self.release()
        else:
            self._loop.call_later(self.keep_s, lambda: self.release() if reader == self._readers else None)

    def png(self, index: int, rgb_HWC: np.ndarray) -> bytes:
        """Return picture `index` as a PNG with its recipe, and what of that recipe was not followed."""
        return png_bytes(rgb_HWC, self.recipes[index], self.recipe_notes)

    def add(self, job: Job) -> None:
        """Make a job part of the request; it is cancelled at once where the request was abandoned meanwhile."""
        self.jobs.append(job)
        if self._abandoned:
            job.cancel()

    def cancel(self) -> None:
        """Cancel what is under way; the engine frees its slots before its next step, and its events say so."""
        for job in self.jobs:
            job.cancel()

    def abandon(self) -> None:
        """End what is under way, and what another thread still adds."""
        self._abandoned = True
        self.cancel()

    def release(self) -> None:
        """Nobody waits for the pictures any more: cancel what is under way, and forget the request."""
        self.cancel()
        self.on_release()

    def on_event(self, index: int, event: Event) -> None:
        """Take an event of picture `index` over from the engine's thread."""
        # A loop that has closed meanwhile has nobody who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, (index, event))


def note_headers(notes: Sequence[str]) -> dict[str, str]:
    """Return the header with what was not done as asked; none where all was."""
    text = "; ".join(notes).encode("ascii", "backslashreplace").decode()
    return {NOTES: text[:_LONGEST_HEADER]} if text else {}
