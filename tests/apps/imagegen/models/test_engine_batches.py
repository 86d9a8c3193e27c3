"""Who shares a batch with whom, and that no image shows it: 60 requests of all kinds under three loads."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe, RecipeError
from apps.imagegen.models import engine as engine_module
from apps.imagegen.models.engine import Engine, Event
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InputError
from tests.apps.imagegen.gate import APPLE, SECONDS, Gate
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


def digest(rgb_HWC: np.ndarray) -> str:
    return hashlib.sha256(rgb_HWC.tobytes()).hexdigest()


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the self-test, which has tests of its own."""
    monkeypatch.setattr(engine_module, "prove", lambda *_: (4, 8, 16))


def mixed(pipeline: Pipeline, count: int) -> list[tuple[Recipe, dict[str, np.ndarray]]]:
    """Requests of all kinds: sizes, steps, guidance, schedulers, seeds, negatives, from pictures and inside masks."""
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
        pictures = {}
        if i % 7 == 3:
            recipe = replace(recipe, strength=(0.3, 0.7, 1.0)[i % 3])
            values = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
            pictures["image"] = values
            if i % 2:
                pictures["mask"] = values[:, :, 0] > 100
        requests.append((recipe, pictures))
    return requests


def drawn_at(
    pipeline: Pipeline, requests: list[tuple[Recipe, dict[str, Any]]], concurrency: int
) -> list[str]:
    free = threading.Semaphore(concurrency)

    def leave(event: Event) -> None:
        if event.kind in ("done", "failed"):
            free.release()

    with Engine(pipeline) as engine:
        jobs = []
        for recipe, pictures in requests:
            free.acquire()
            jobs.append(engine.submit(recipe, **pictures, on_event=leave))
        return [digest(job.result(SECONDS)) for job in jobs]


def test_the_bytes_of_60_mixed_images_do_not_depend_on_the_load(pipeline: Pipeline) -> None:
    requests = mixed(pipeline, 60)
    alone = drawn_at(pipeline, requests, 1)
    assert len(set(alone)) == 60
    assert drawn_at(pipeline, requests, 4) == alone
    assert drawn_at(pipeline, requests[::-1], 16) == alone[::-1], "in another order, too"


class FakeShelf:
    """One adapter that counts its uses, and one that cannot be used."""

    def __init__(self) -> None:
        self.used: list[tuple[str | None, float]] = []

    def digest(self, name: str) -> str:
        if name not in ("clay", "spoilt"):
            raise InputError("adapter_unknown", f"there is no adapter {name}")
        return name * 8

    @contextlib.contextmanager
    def use(self, name: str | None, scale: float, digest: str | None) -> Iterator[None]:
        if name == "spoilt":
            raise InputError("adapter_changed", "the adapter spoilt was replaced")
        assert digest == "clay" * 8
        self.used.append((name, scale))
        yield


def test_adapters_have_batches_of_their_own(pipeline: Pipeline, proven: None) -> None:
    shelf = FakeShelf()
    with Engine(pipeline, adapters=shelf) as engine:
        with pytest.raises(InputError, match="there is no adapter wax"):
            engine.submit(replace(APPLE, adapter="wax"))
        gate = Gate()
        with gate.held(engine, replace(APPLE, steps=2)):
            clay = engine.submit(replace(APPLE, adapter="clay", adapter_scale=0.5, steps=2))
            spoilt = engine.submit(replace(APPLE, adapter="spoilt"))
        assert clay.recipe.adapter_digest == "clay" * 8
        assert clay.result(SECONDS).shape == (32, 32, 3)
        with pytest.raises(InputError, match="was replaced"):
            spoilt.result(SECONDS)
        with pytest.raises(RecipeError, match="is another file by now"):
            engine.submit(replace(APPLE, adapter="clay", adapter_digest="0" * 64))
    assert shelf.used == [("clay", 0.5)] * 2
