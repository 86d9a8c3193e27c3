"""Whether an image's bytes depend on what else is drawn: mixed requests, one at a time and under two loads."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from benchmarks.command_line import whole

Request = tuple[Recipe, dict[str, np.ndarray]]

CONCURRENCIES = (1, 4, 16)
PROTOCOL = (
    "Requests of two sizes, 5 to 12 steps, with and without guidance, every scheduler, any seed, some with a negative "
    "prompt, some from a picture and some inside a mask; the same ones with so many at a time, the last time in "
    "reversed order. The SHA-256 of each image's pixels is compared."
)
_SECONDS = 600.0


def run(model: str = "", requests: str = "60") -> dict[str, Any]:
    """Return the record. model: folder of a pipeline, empty: the embedded one. Raises InputError as load_pipeline."""
    pipeline = load_pipeline(Path(model) if model else None)
    asked = mixed(pipeline, whole("requests", requests))
    result = {}
    for concurrency in CONCURRENCIES:
        turned = concurrency == CONCURRENCIES[-1]
        digests = digests_at(pipeline, asked[::-1] if turned else asked, concurrency)
        result[concurrency] = digests[::-1] if turned else digests
    alone = result[CONCURRENCIES[0]]
    same = sum(len({digests[n] for digests in result.values()}) == 1 for n in range(len(alone)))
    return {
        "headline": {"images with the same bytes under every load": f"{same} of {len(alone)}"},
        "protocol": PROTOCOL,
        "model": pipeline.digest,
        "concurrencies": list(CONCURRENCIES),
        "requests": len(alone),
        "same": same,
        "different_images": len(set(alone)),
        "threads": torch.get_num_threads(),
    }


def mixed(pipeline: Pipeline, count: int) -> list[Request]:
    """Return requests of all kinds, the same in every call: a recipe, and the picture and mask that go with it."""
    chance, requests = random.Random(3), []
    limits = pipeline.limits
    for i in range(count):
        width, height = limits.sizes[0 if i % 6 else 1]
        recipe = Recipe(
            ("red apple", "a blue car", "cat face", "pizza")[i % 4],
            "" if i % 5 else "blue",
            seed=chance.randrange(2**63),
            width=width,
            height=height,
            steps=chance.randint(5, 12),
            guidance=(1.0, 4.0, 7.5)[i % 3],
            scheduler=limits.schedulers[i % len(limits.schedulers)],
        )
        pictures: dict[str, np.ndarray] = {}
        if i % 7 == 3:
            recipe = replace(recipe, strength=(0.3, 0.7, 1.0)[i % 3])
            values = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
            pictures["image"] = values
            if i % 2:
                pictures["mask"] = values[:, :, 0] > 100
        requests.append((recipe, pictures))
    return requests


def digests_at(pipeline: Pipeline, requests: Sequence[Request], concurrency: int) -> list[str]:
    """Draw requests in their order, so many at a time; return the SHA-256 of each one's pixels."""
    free = threading.Semaphore(concurrency)

    def leave(event: Event) -> None:
        if event.kind in ("done", "failed"):
            free.release()

    with Engine(pipeline) as engine:
        jobs = []
        for recipe, pictures in requests:
            free.acquire()
            jobs.append(
                engine.submit(recipe, image=pictures.get("image"), mask=pictures.get("mask"), on_event=leave)
            )
        return [hashlib.sha256(job.result(_SECONDS).tobytes()).hexdigest() for job in jobs]
