"""Between routes and engine: what a request asks for becomes jobs, which end when its client leaves."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.errors import EngineClosed, QueueFull
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.given import brought, whole_size
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.resolve import complete_recipe
from apps.imagegen.reasons import RECIPE
from apps.imagegen.service.failures import refusal_of
from apps.imagegen.service.forms import Defaults, Upload
from apps.imagegen.service.prompt_log import log_prompts
from apps.imagegen.service.request import GenerationRequest
from core.compute.threads import release_workers
from core.errors import InputError, frames_of
from core.runs.log import RunLog
from core.serving.reasons import STATE
from core.serving.service_error import ServiceError


@dataclass(frozen=True)
class GenerationSettings:
    """rows of the engine's batches; pictures that may wait; pixels: the most of an upload; prompts: file to log to."""

    rows: int
    waiting: int
    pixels: int
    defaults: Defaults
    prompts: Path | None = None


class GenerationService:
    """The model, its adapters, the engine once it has started, and the requests under way by id."""

    def __init__(
        self,
        pipeline: Pipeline,
        adapters: AdapterCache,
        settings: GenerationSettings,
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
        self._requests: dict[str, GenerationRequest] = {}

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
        return len(self._requests)

    def waits_for(self) -> str | None:
        """Return why nothing can be drawn yet, None when it can."""
        if self.fault is not None:
            return "the engine has failed"
        return "the engine tests itself" if self.engine is None else None

    async def draw(self, recipe: Recipe, n: int, upload: Upload, previews: int) -> GenerationRequest:
        """Hand n pictures to the engine, seeds counted up, and return them as a request; all are taken, or none.

        Raises ServiceError: 400 where the recipe or an upload cannot be used, 429 with Retry-After where too many
        wait, 503 while the engine starts or stops, 507 where the log of prompts cannot be written. Whoever has the
        request must call its `release`.
        """
        engine = self.engine
        if engine is None or self.fault is not None:
            raise STATE("not_ready", reason=self.waits_for(), headers={"Retry-After": "2"})
        request = GenerationRequest(asyncio.get_running_loop())
        begin = partial(self._begin, engine, request, recipe, n, upload, previews)
        try:
            files = (upload.image, upload.mask, recipe.adapter, self.settings.prompts)
            if files == (None, None, None, None):
                begin()
            else:
                # Files are read or written, pictures decoded: other requests shall not wait for it.
                await asyncio.to_thread(begin)
        except QueueFull as error:
            headers = {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
            raise ServiceError(429, error.code, error.sentence, headers=headers) from None
        except EngineClosed as error:
            if not self._closing:
                self._fail(error)
            raise STATE("shutting_down") from None
        except InputError as error:
            raise refusal_of(error) from None
        except BaseException:
            # The client is gone: nothing is drawn for nobody.
            request.abandon()
            raise
        self._requests[request.id] = request
        request.on_release = lambda: self._requests.pop(request.id, None)
        return request

    def check(self, recipe: Recipe, n: int) -> None:
        """Check a request without a picture to start from, as `draw` does. Raises ServiceError 400."""
        try:
            whole = complete_recipe(self.pipeline, self.adapters, recipe, None, None)
            seeds(whole, n, most=self.settings.defaults.pictures)
        except InputError as error:
            raise refusal_of(error) from None
        finally:
            release_workers()

    def request(self, name: str) -> GenerationRequest | None:
        """Return the request of that id, None where there is none under way."""
        return self._requests.get(name)

    def cancel(self, name: str) -> bool:
        """Cancel the request of that id; False where there is none under way."""
        request = self._requests.get(name)
        if request is not None:
            request.cancel()
        return request is not None

    async def _start(self) -> None:
        try:
            self.engine = await asyncio.to_thread(self._engine)
        except Exception as error:
            self._fail(error)

    def _on_event(self, event: Event) -> None:
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
            observe=self._on_event,
        )
        engine.submit(Recipe(prompt="warm up", steps=2, scheduler=self.settings.defaults.scheduler)).result()
        return engine

    def _begin(
        self,
        engine: Engine,
        request: GenerationRequest,
        recipe: Recipe,
        n: int,
        upload: Upload,
        previews: int,
    ) -> None:
        """Decode the uploads at the size that is drawn, log the prompts if asked to, and submit.

        Raises InputError, EngineClosed, and ServiceError 507 before anything is drawn.
        """
        image_HWC = mask_HW = None
        if upload.image is not None:
            recipe, image_HWC, mask_HW = self._decode(request, recipe, upload, upload.image)
        elif upload.mask is not None:
            raise RECIPE("mask_without_image", param="image")
        if recipe.adapter is not None and (note := self.adapters.note(recipe.adapter)):
            request.notes.append(note)
        # Here the request becomes a recipe: all its fields are checked, before seeds are counted up.
        whole = complete_recipe(self.pipeline, self.adapters, recipe, image_HWC, mask_HW)
        recipes = seeds(whole, n, most=self.settings.defaults.pictures)
        request.recipe_notes = self.pipeline.notes(whole)
        request.notes += request.recipe_notes
        if self.settings.prompts is not None:
            log_prompts(self.settings.prompts, request.id, recipes)
        try:
            for index, one in enumerate(recipes):
                on_event = partial(request.on_event, index)
                job = engine.enqueue(one, image=image_HWC, mask=mask_HW, previews=previews, on_event=on_event)
                request.add(job)
        except BaseException:
            request.cancel()
            raise
        finally:
            # An adapter may have been read: the engine's thread alone shall compute.
            release_workers()

    def _decode(
        self, request: GenerationRequest, recipe: Recipe, upload: Upload, image: bytes
    ) -> tuple[Recipe, np.ndarray, np.ndarray | None]:
        """Return a recipe with its size, and the picture and mask at that size.

        What cannot be drawn is refused before any pixel is decoded. Raises InputError.
        """
        pixels, fit = self.settings.pixels, upload.fit or self.settings.defaults.fit
        recipe = whole_size(self.pipeline, recipe, image, pixels)
        bare = replace(recipe, image_sha256=None, mask_sha256=None, strength=None)
        sized = replace(self.pipeline.resolve(bare), image_sha256=recipe.image_sha256)
        image_HWC, mask_HW, note = brought(image, upload.mask, sized, fit, pixels)
        request.notes += [note] if note else []
        return recipe, image_HWC, mask_HW
