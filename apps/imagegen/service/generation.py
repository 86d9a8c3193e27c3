"""Between routes and engine: a request's pictures as one piece of work, which ends when its client leaves.

The engine draws in a thread of its own; its events come over to the event loop, each with the picture's place in the
request. Nothing of a request is kept on anything that requests share but its id, for cancelling.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.errors import Cancelled, EngineClosed, QueueFull, RecipeError
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.given import brought, whole_size
from apps.imagegen.models.job import Event, Job
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import complete_recipe
from apps.imagegen.report.recipe_png import png_bytes
from apps.imagegen.service.forms import Defaults, Upload
from core.compute.threads import release_workers
from core.errors import InputError, TriptychError, frames_of
from core.runs.log import RunLog
from core.serving.errors import ServiceError, new_request_id

NOTES = "X-Notes"
_LONGEST_HEADER = 2000
ENDS = ("done", "failed", "cancelled")
_SILENCE_S = 2.0  # after which a work without events looks whether the engine lives
_FIELDS = {"negative": "negative_prompt", "width": "size", "height": "size"}  # of a recipe → of a request


@dataclass(frozen=True)
class StudioSettings:
    """rows of the engine's batches; pictures that may wait; pixels: the most of an upload; prompts: file to log to."""

    rows: int
    waiting: int
    pixels: int
    defaults: Defaults
    prompts: Path | None = None


class Studio:
    """The model, its adapters, the engine once it has started, and the work under way by id."""

    def __init__(
        self,
        pipeline: Pipeline,
        adapters: AdapterCache,
        settings: StudioSettings,
        *,
        observe: Callable[[Event], None] | None = None,
        on_fault: Callable[[], None] = lambda: None,
        log: RunLog | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.adapters = adapters
        self.settings = settings
        self.created = int(time.time())
        self.fault: BaseException | None = None
        self.engine: Engine | None = None
        self._observe = observe
        self._log = log
        self._on_fault = on_fault
        self._closing = False
        self._starting: asyncio.Task[None] | None = None
        self._works: dict[str, Work] = {}

    async def open(self) -> None:
        """Begin to start the engine; until its self-test and a first picture are done, `waits_for` says so."""
        self._starting = asyncio.create_task(self._start())

    async def close(self) -> None:
        """Let what is under way end; then nothing is drawn any more."""
        self._closing = True
        if self._starting is not None:
            await self._starting
        if self.engine is not None:
            await asyncio.to_thread(self.engine.close)

    def busy(self) -> tuple[int, int]:
        """Return how many pictures are being drawn, and how many wait."""
        return (0, 0) if self.engine is None else self.engine.busy()

    def under_way(self) -> int:
        """Return how many requests are being drawn for."""
        return len(self._works)

    def waits_for(self) -> str | None:
        """Return why nothing can be drawn yet, None when it can."""
        if self.fault is not None:
            return "the engine has failed"
        return "the engine tests itself" if self.engine is None else None

    async def draw(self, recipe: Recipe, n: int, upload: Upload, previews: int) -> Work:
        """Hand n pictures to the engine, seeds counted up, and return them as work; all are taken, or none.

        Raises ServiceError: 400 where the recipe or an upload cannot be used, 429 with Retry-After where too many
        wait, 503 while the engine starts or stops, 507 where the log of prompts cannot be written. Whoever has the
        work must call its `leave`.
        """
        engine = self.engine
        if engine is None or self.fault is not None:
            raise ServiceError(503, "not_ready", f"{self.waits_for()}", headers={"Retry-After": "2"})
        work = Work(asyncio.get_running_loop())
        begin = partial(self._begin, engine, work, recipe, n, upload, previews)
        try:
            files = (upload.image, upload.mask, recipe.adapter, self.settings.prompts)
            if files == (None, None, None, None):
                begin()
            else:  # files are read or written, pictures decoded: others shall not wait for it
                await asyncio.to_thread(begin)
        except QueueFull as error:
            headers = {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
            raise ServiceError(429, "queue_full", error.sentence, headers=headers) from None
        except EngineClosed as error:
            if not self._closing:
                self._fail(error)
            sentence = "this service is shutting down; ask again in a moment"
            raise ServiceError(503, "shutting_down", sentence) from None
        except InputError as error:
            raise _refusal(error) from None
        except BaseException:  # whoever asked is gone: nothing is drawn for nobody
            work.give_up()
            raise
        self._works[work.id] = work
        work.on_leave = lambda: self._works.pop(work.id, None)
        return work

    def work(self, name: str) -> Work | None:
        """Return the work of that id, None where there is none under way."""
        return self._works.get(name)

    def cancel(self, name: str) -> bool:
        """Cancel the work of that id; False where there is none under way."""
        work = self._works.get(name)
        if work is not None:
            work.cancel()
        return work is not None

    async def _start(self) -> None:
        try:
            self.engine = await asyncio.to_thread(self._engine)
        except Exception as error:
            self._fail(error)

    def _hear(self, event: Event) -> None:
        """Log where a picture failed by a fault of ours, then let the event be counted; called by the engine."""
        error = event.error
        if (
            self._log is not None
            and event.kind == "failed"
            and not isinstance(error, InputError)
            and error is not None
        ):
            cause = error.__cause__ or error
            self._log.event("fault", type=type(cause).__name__, frames=frames_of(cause))
        if self._observe is not None:
            self._observe(event)

    def _fail(self, error: BaseException) -> None:
        self.fault = error
        self._on_fault()

    def _engine(self) -> Engine:
        engine = Engine(
            self.pipeline,
            rows=self.settings.rows,
            waiting=self.settings.waiting,
            adapters=self.adapters,
            sizes=self.pipeline.limits.sizes,
            observe=self._hear,
        )
        engine.submit(Recipe(prompt="warm up", steps=2, scheduler=self.settings.defaults.scheduler)).result()
        return engine

    def _begin(
        self, engine: Engine, work: Work, recipe: Recipe, n: int, upload: Upload, previews: int
    ) -> None:
        """Decode the uploads at the size that is drawn, log the prompts if asked to, and submit.

        Raises InputError, EngineClosed, and ServiceError 507 before anything is drawn.
        """
        image_HWC = mask_HW = None
        # What cannot be drawn is refused before any pixel is decoded, and before seeds are counted up.
        pixels, fit = self.settings.pixels, upload.fit or self.settings.defaults.fit
        bare = replace(recipe, image_sha256=None, mask_sha256=None, strength=None)
        self.pipeline.resolve(bare)
        recipe = whole_size(self.pipeline, recipe, upload.image, pixels)
        whole = self.pipeline.resolve(replace(bare, width=recipe.width, height=recipe.height))
        if upload.image is not None:
            sized = replace(whole, image_sha256=recipe.image_sha256)
            image_HWC, mask_HW, note = brought(upload.image, upload.mask, sized, fit, pixels)
            work.notes += [note] if note else []
        elif upload.mask is not None:
            raise RecipeError("image_missing", "a mask lies on a picture: send image too", "image")
        if recipe.adapter is not None and (note := self.adapters.note(recipe.adapter)):
            work.notes.append(note)
        wanted = seeds(recipe, n, most=self.settings.defaults.pictures)
        work.recipe_notes = self.pipeline.notes(whole)
        work.notes += work.recipe_notes
        if self.settings.prompts is not None:
            whole_ones = [
                complete_recipe(self.pipeline, self.adapters, one, image_HWC, mask_HW) for one in wanted
            ]
            _log_prompts(self.settings.prompts, work.id, whole_ones)
        try:
            for index, one in enumerate(wanted):
                hear = partial(work.hear, index)
                work.take(engine.submit(one, image=image_HWC, mask=mask_HW, previews=previews, on_event=hear))
        except BaseException:
            work.cancel()
            raise
        finally:
            release_workers()  # an adapter may have been read: the engine's thread alone shall compute


class Work:
    """The pictures of one request; of several readers of `events` the newest gets them.

    keep_s: seconds that the pictures are drawn on for after their reader has gone, for another one to come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.id = new_request_id()
        self.jobs: list[Job] = []
        self.notes: list[str] = []  # sentences on what was not done as asked
        self.recipe_notes: tuple[str, ...] = ()  # those of them that follow from the recipe
        self.on_leave: Callable[[], object] = lambda: None
        self.keep_s = 0.0
        self._given_up = False
        self._readers = 0
        self._read_out = False
        self._seen: dict[tuple[int, str], Event] = {}  # the newest of each kind, by picture
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
                    raise ServiceError(
                        503, "engine_ended", "the engine has ended; ask again in a moment"
                    ) from None
                continue
            self._seen[index, event.kind] = event
            if reader == self._readers:
                yield index, event
        self._read_out = reader == self._readers

    def rest(self) -> None:
        """The reader has gone: leave, at once or after `keep_s` seconds in which no other one has come."""
        reader = self._readers
        if self._read_out or self.keep_s <= 0:
            self.leave()
        else:
            self._loop.call_later(self.keep_s, lambda: self.leave() if reader == self._readers else None)

    def png(self, index: int, rgb_HWC: np.ndarray) -> bytes:
        """Return picture `index` as a PNG with its recipe, and what of that recipe was not followed."""
        return png_bytes(rgb_HWC, self.recipes[index], self.recipe_notes)

    def take(self, job: Job) -> None:
        """Make a job part of the work; it is cancelled at once where the work was given up meanwhile."""
        self.jobs.append(job)
        if self._given_up:
            job.cancel()

    def cancel(self) -> None:
        """End what is under way; its events say so."""
        for job in self.jobs:
            job.cancel()

    def give_up(self) -> None:
        """End what is under way, and what another thread still adds."""
        self._given_up = True
        self.cancel()

    def leave(self) -> None:
        """Nobody waits for the pictures any more: end what is under way, and forget the work."""
        self.cancel()
        self.on_leave()

    def hear(self, index: int, event: Event) -> None:
        """Take an event of picture `index` over from the engine's thread."""
        # A loop that has closed meanwhile has nobody who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, (index, event))


def note_headers(notes: Sequence[str]) -> dict[str, str]:
    """Return the header that tells what was not done as asked; none where all was."""
    text = "; ".join(notes).encode("ascii", "backslashreplace").decode()
    return {NOTES: text[:_LONGEST_HEADER]} if text else {}


def failure_of(error: BaseException | None) -> ServiceError:
    """Return what a client is told of a picture that failed or was cancelled."""
    if isinstance(error, Cancelled):
        return ServiceError(503, "cancelled", "the picture was cancelled; ask again")
    if isinstance(error, InputError):
        return _refusal(error)
    if isinstance(error, TriptychError):
        return ServiceError(500, error.code, error.sentence)
    return ServiceError(500, "drawing_failed", "the picture could not be drawn")


def _refusal(error: InputError) -> ServiceError:
    """Return a refusal with the name of the request's field at fault."""
    param = getattr(error, "param", None)
    return ServiceError(400, error.code, error.sentence, param=_FIELDS.get(str(param), param))


def _log_prompts(path: Path, work: str, recipes: Sequence[Recipe]) -> None:
    """Add a line to the log of prompts. Raises ServiceError 507 where that cannot be; no half of a line stays."""
    line = {"time": round(time.time(), 3), "work": work, "recipes": [one.as_json() for one in recipes]}
    data = json.dumps(line).encode() + b"\n"
    try:
        with path.open("ab", buffering=0) as stream:
            end = stream.tell()
            if stream.write(data) != len(data):
                stream.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise ServiceError(
            507,
            "prompt_log_unwritable",
            f"nothing is drawn, since the log of prompts cannot be written ({error.strerror}): free its disk, or "
            "start the service without serve.log_prompts",
        ) from error
