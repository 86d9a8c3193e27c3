"""The application: routes, metrics, limits and the page, with one engine behind them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from apps.imagegen.config import STRENGTH, ImagegenConfig
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.service.forms import Defaults
from apps.imagegen.service.generation import GenerationService, GenerationSettings
from apps.imagegen.service.kept import KeptRequests
from apps.imagegen.service.kept_routes import kept_routes
from apps.imagegen.service.metrics import EngineMetrics
from apps.imagegen.service.openai import drawing_of, openai_routes
from apps.imagegen.service.openai_forms import error_body
from apps.imagegen.service.own import own_routes
from apps.imagegen.service.reasons import SETTINGS
from core.compute.threads import release_workers
from core.runs.folder import Run
from core.runs.state import state_folder
from core.serving.app import make_app
from core.serving.keys import KeyRing
from core.serving.limits import serving_limits
from core.serving.metrics import Metrics

WEB = Path(__file__).parent / "web"


def end_process() -> None:
    """Tell this process to end as a service ends, by SIGTERM: without its engine it is of no use."""
    os.kill(os.getpid(), signal.SIGTERM)


def build(
    cfg: ImagegenConfig,
    pipeline: Pipeline,
    run: Run,
    *,
    keys: KeyRing | None = None,
    on_fault: Callable[[], None] = end_process,
    observe: Callable[[Event], None] | None = None,
) -> tuple[GenerationService, FastAPI]:
    """Return the application, and the generation service behind it; the engine starts with the application.

    keys: of `serve.keys`, read already. on_fault: called where the engine cannot start, or dies. observe: gets the
    engine's events, in its thread, after they were counted. Raises ConfigError.
    """
    release_workers()  # of this thread, which loaded the pipeline: from here on the engine's alone computes
    metrics = Metrics()
    counts = EngineMetrics(metrics, cfg.serve.rows)

    def on_event(event: Event) -> None:
        counts.observe(event)
        if observe is not None:
            observe(event)

    settings = GenerationSettings(
        rows=cfg.serve.rows,
        waiting=cfg.serve.waiting,
        pixels=int(cfg.serve.pixels_mp * 1e6),
        defaults=defaults_of(cfg, pipeline),
        prompts=run.path / "prompts.jsonl" if cfg.serve.log_prompts else None,
    )
    folder = None if cfg.adapter is None else _adapters(cfg.adapter)
    adapters = AdapterCache(folder, pipeline, kept_mb=cfg.serve.adapters_mb)
    service = GenerationService(
        pipeline, adapters, settings, observe=on_event, on_fault=on_fault, log=run.log
    )
    kept = KeptRequests(
        Path(cfg.serve.kept) if cfg.serve.kept else state_folder() / "images",
        f"images.{pipeline.digest[:12]}",
        drawing_of(service),
        hours=cfg.serve.kept_h,
        most=cfg.serve.kept_waiting,
        together=cfg.serve.rows,
        log=run.log,
    )

    async def on_start() -> None:
        await service.open()
        await kept.open()

    async def on_stop() -> None:
        await kept.close()
        await service.close()

    counts.running.set_function(lambda: service.busy()[0])
    counts.waiting.set_function(lambda: service.busy()[1])
    app = make_app(
        "Triptych pictures",
        routes=[openai_routes(service, kept), kept_routes(kept), own_routes(service)],
        ready=service.waits_for,
        metrics=metrics,
        limits=serving_limits(cfg.host, cfg.serve),
        keys=keys,
        error_body=error_body,
        on_start=on_start,
        on_stop=on_stop,
        log=run.log,
        pages=WEB,
    )
    return service, app


def defaults_of(cfg: ImagegenConfig, pipeline: Pipeline) -> Defaults:
    """Return what a request gets that says nothing: the settings of the command line. Raises ConfigError."""
    limits = pipeline.limits
    if cfg.scheduler not in limits.schedulers:
        known = ", ".join(limits.schedulers)
        raise SETTINGS("serve_scheduler", scheduler=cfg.scheduler, model=pipeline.name, known=known)
    for name, value, (low, high) in (
        ("steps", cfg.steps, limits.steps),
        ("guidance", cfg.guidance, limits.guidance),
    ):
        if not low <= value <= high:
            raise SETTINGS("serve_range", name=name, value=value, low=low, high=high)
    return Defaults(
        steps=cfg.steps,
        guidance=cfg.guidance,
        scheduler=cfg.scheduler,
        strength=cfg.strength or STRENGTH,
        # More could never be taken at once, however long a client waits.
        pictures=min(cfg.serve.pictures, cfg.serve.waiting),
        fit=cfg.fit,
    )


def _adapters(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise SETTINGS("serve_adapters", folder=text)
    return folder
