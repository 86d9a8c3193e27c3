"""What the service adds to the engine's own time, and how soon a client sees the first partial picture."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.service.app import build
from benchmarks.command_line import whole
from core.errors import InputError
from core.runs.folder import Run
from core.serving.server import served

PROTOCOL = (
    "The whole service on a free port of this machine, one client with one kept connection, requests one after the "
    "other to /v1/images/generations. Overhead of a request: from before it is sent until its answer is parsed, less "
    "the seconds that the engine itself reports for that very picture, from submission to the finished pixels; PNG, "
    "base64, JSON and HTTP are in it. First partial picture: a streamed request with partial_images=1, time until that "
    "event over the time until the last one. Medians; the first request of each kind warms up and is left out."
)
_READY_S = 300.0


def run(model: str = "", requests: str = "20", steps: str = "25") -> dict[str, Any]:
    """Measure, and return the record's content. model: folder of a pipeline, empty: the embedded one.

    Raises InputError for a number that is none, and as load_pipeline does.
    """
    count, taken = whole("requests", requests), whole("steps", steps)
    pipeline = load_pipeline(Path(model) if model else None)
    engine_s: list[float] = []

    def note(event: Event) -> None:
        if event.kind == "done":
            engine_s.append(event.seconds)

    with tempfile.TemporaryDirectory() as folder:
        record = Run(Path(folder))
        with record.log:
            service, app = build(ImagegenConfig(stage="serve"), pipeline, record, observe=note)
            with served(app) as url, httpx.Client(base_url=url, timeout=600) as client:
                _wait(client)
                engine_s.clear()
                walls = [_plain(client, seed, taken) for seed in range(count + 1)]
                overheads = [1000 * (wall - own) for wall, own in zip(walls, engine_s, strict=True)][1:]
                own = engine_s[1:]
                shares = [_first_share(client, seed, taken) for seed in range(max(1, count // 4) + 1)][1:]
    assert service.fault is None
    return {
        "headline": {
            "overhead of a request": f"{statistics.median(overheads):.1f} ms",
            "first partial picture": f"after {statistics.median(shares):.0%} of the time",
        },
        "protocol": PROTOCOL,
        "requests": count,
        "steps": taken,
        "size": list(pipeline.own_size),
        "model": pipeline.digest,
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "engine_seconds": statistics.median(own),
        "overhead_ms": {
            "median": statistics.median(overheads),
            "low": min(overheads),
            "high": max(overheads),
        },
        "first_partial_share": {"median": statistics.median(shares), "low": min(shares), "high": max(shares)},
    }


def _wait(client: httpx.Client) -> None:
    end = time.monotonic() + _READY_S
    while client.get("/health/ready").status_code != 200:
        if time.monotonic() > end:
            raise InputError("not_ready", f"the service was not ready within {_READY_S:.0f} s")
        time.sleep(0.05)


def _plain(client: httpx.Client, seed: int, steps: int) -> float:
    began = time.perf_counter()
    reply = client.post("/v1/images/generations", json={"prompt": "red apple", "seed": seed, "steps": steps})
    reply.raise_for_status()
    json.loads(reply.content)
    return time.perf_counter() - began


def _first_share(client: httpx.Client, seed: int, steps: int) -> float:
    body = {"prompt": "red apple", "seed": seed, "steps": steps, "stream": True, "partial_images": 1}
    began, first = time.perf_counter(), None
    with client.stream("POST", "/v1/images/generations", json=body) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            if first is None and line.startswith("event: image_generation.partial_image"):
                first = time.perf_counter() - began
    whole = time.perf_counter() - began
    return (whole if first is None else first) / whole
