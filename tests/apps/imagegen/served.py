"""A real service of a tiny pipeline, for tests: its engine, its server on a free port, no stand-ins."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from apps.imagegen.config import ImagegenConfig, ModelConfig, ServeConfig
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.service.app import build
from apps.imagegen.service.generation import GenerationService
from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.server import served
from tests.apps.imagegen.tiny import tiny_pipeline

READY_S = 180.0


@dataclass
class Service:
    """A running service. faults: how often the engine was said to have failed."""

    url: str
    generation: GenerationService
    run: Run
    faults: list[int] = field(default_factory=list)

    def running(self) -> int:
        return self.generation.busy()[0]

    def busy(self) -> int:
        return sum(self.generation.busy())


@contextlib.contextmanager
def service(folder: Path, *, adapter: Path | None = None, **settings: Any) -> Iterator[Service]:
    """Serve from `folder`; settings are those of ServeConfig. Gives the service once it is ready."""
    with starting(folder, adapter=adapter, **settings) as running:
        until(lambda: httpx.get(f"{running.url}/health/ready").status_code == 200, READY_S)
        yield running


@contextlib.contextmanager
def starting(folder: Path, *, adapter: Path | None = None, **settings: Any) -> Iterator[Service]:
    """The same, given as soon as the server listens."""
    path = tiny_pipeline(folder / "tiny")
    cfg = ImagegenConfig(
        stage="serve",
        adapter=None if adapter is None else str(adapter),
        model=ModelConfig(path=str(path)),
        serve=ServeConfig(**settings),
    )
    run = Run(folder / "run")
    faults: list[int] = []
    keys = key_ring(cfg.serve)
    generation, app = build(cfg, load_pipeline(path), run, keys=keys, on_fault=lambda: faults.append(1))
    try:
        with served(app) as url:
            yield Service(url, generation, run, faults)
    finally:
        run.close()


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until a condition holds; return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come true"
        time.sleep(0.01)
    return time.monotonic() - began


def parsed(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (event, data) from the lines of a stream of server-sent events."""
    name = "message"
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def drawn(url: str, path: str = "/api/generate", **request: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return all events of a request to draw."""
    with httpx.stream("POST", url + path, timeout=60, **request) as reply:
        assert reply.status_code == 200, reply.read()
        return list(parsed(reply.iter_lines()))
