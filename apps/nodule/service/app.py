"""The application: routes, metrics and limits, with processes of the detector behind them."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import FastAPI

from apps.nodule.config import NoduleConfig
from apps.nodule.service.routes import study_routes
from apps.nodule.service.workspace import Workspace
from core.runs.folder import Run
from core.serving.app import make_app
from core.serving.keys import KeyRing
from core.serving.limits import serving_limits
from core.serving.messages import Message
from core.serving.metrics import Metrics
from core.serving.model_pool import ModelPool
from core.serving.model_process import ModelSource
from core.terminal.notes import print_note

DETECTOR = "apps.nodule.service.study_search:StudySearch"


def build(cfg: NoduleConfig, run: Run, keys: KeyRing | None = None) -> FastAPI:
    """Return the application; the detector's processes start and end with it. keys: of `serve.keys`, read already."""
    pool = ModelPool(
        ModelSource(
            DETECTOR,
            {
                "model": dataclasses.asdict(cfg.model),
                "weights": cfg.weights,
                "artifacts": cfg.artifacts,
                "runtime": cfg.runtime,
                "log": str(run.log.path),
            },
        ),
        processes=cfg.serve.processes,
        waiting=cfg.serve.waiting,
        timeout_s=cfg.serve.study_s,
        log=run.log,
    )
    workspace = Workspace()

    async def search(folder: str, content_type: str) -> list[dict[str, Any]]:
        answer = await pool.call(Message({"folder": folder, "content_type": content_type}))
        return list(answer.content["rows"])

    async def start() -> None:
        left = workspace.open()
        if left:
            print_note(f"studies that a service left when it was killed were removed: {left} folders")
        await pool.start()

    async def stop() -> None:
        await pool.close()
        workspace.close()

    return make_app(
        "Triptych lung nodules",
        routes=[study_routes(search, lambda: pool.about, workspace)],
        ready=pool.unready,
        metrics=Metrics(),
        limits=serving_limits(cfg.host, cfg.serve),
        keys=keys,
        on_start=start,
        on_stop=stop,
        log=run.log,
    )
