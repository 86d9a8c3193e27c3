"""Serve pictures over HTTP: `triptych-imagegen stage=serve port=8000`.

OpenAI's images API under /v1, our own with progress under /api, the page at /; health, readiness and metrics come
with `core.serving`. One engine draws for all of them; `apps.imagegen.service` holds the parts.
"""

from __future__ import annotations

from pathlib import Path

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.models.runtime import on_artifacts
from apps.imagegen.service.app import build
from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.server import serve
from core.terminal.notes import print_note


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Serve until a signal; returns 0. Raises InputError for an unusable model, folder, host or port."""
    keys = key_ring(cfg.serve)  # before the pipeline, which takes a while
    folder = None if cfg.weights is None else Path(cfg.weights)
    pipeline = load_pipeline(folder, cfg.model.device if cfg.artifacts is None else "cpu")
    if cfg.artifacts is not None:
        pipeline = on_artifacts(pipeline, Path(cfg.artifacts), cfg.runtime)
    for caution in pipeline.cautions:
        print_note(caution)
    service, app = build(cfg, pipeline, run, keys=keys)
    serve(app, cfg.host, cfg.port, cfg.serve)
    if service.fault is not None:
        raise service.fault
    return 0
