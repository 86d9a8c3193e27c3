"""The application: routes, limits and metrics, with the model in processes behind them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from apps.risk.config import RiskConfig
from apps.risk.service.routes import score_routes
from core.runs.folder import Run
from core.serving.app import make_app
from core.serving.keys import KeyRing
from core.serving.limits import serving_limits
from core.serving.metrics import Metrics
from core.serving.model_pool import ModelPool
from core.serving.model_process import ModelSource

SCORER = "apps.risk.service.scorer:Scorer"


def build(cfg: RiskConfig, run: Run, keys: KeyRing | None = None) -> FastAPI:
    """Return the application; the model's processes start and end with it. keys: of `serve.keys`, read already."""
    arguments: dict[str, Any] = {
        "model": {
            "folder": cfg.weights,
            "name": cfg.model.name,
            "device": cfg.model.device,
            "artifacts": cfg.artifacts,
            "runtime": cfg.runtime,
        },
        "defaults": {"horizon": cfg.model.horizon, "paths": cfg.model.paths, "seed": cfg.seed},
        "limits": {"rows": cfg.serve.rows, "cells": cfg.serve.cells},
    }
    pool = ModelPool(
        # one thread: the bytes of the answer do not depend on the number of cores, and small tables gain nothing
        ModelSource(SCORER, arguments, threads=1),
        processes=cfg.serve.processes,
        waiting=cfg.serve.waiting,
        timeout_s=cfg.serve.timeout,
        log=run.log,
    )
    limits = {"rows": cfg.serve.rows, "cells": cfg.serve.cells, "body_mb": cfg.serve.body_mb}
    return make_app(
        "Triptych risk scores",
        routes=[score_routes(pool.call, lambda: {**pool.about, **_settings(arguments, limits)})],
        ready=pool.unready,
        metrics=Metrics(),
        limits=serving_limits(cfg.host, cfg.serve),
        keys=keys,
        on_start=pool.start,
        on_stop=pool.close,
        log=run.log,
    )


def _settings(arguments: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    return {"defaults": arguments["defaults"], "limits": limits}
