"""A real scoring service for tests: its model in a process of its own, its server on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from apps.risk.config import ModelConfig, RiskConfig, ServeConfig
from apps.risk.service.app import build
from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.server import served


@contextlib.contextmanager
def service(folder: Path, weights: Path | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """Serve, with the run's record in folder/run; settings: of ServeConfig. Gives a client."""
    cfg = RiskConfig(
        stage="serve",
        weights=None if weights is None else str(weights),
        model=ModelConfig(paths=100),
        serve=ServeConfig(**settings),
    )
    run = Run(folder / "run")
    app = build(cfg, run, key_ring(cfg.serve))
    with run.log, served(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
