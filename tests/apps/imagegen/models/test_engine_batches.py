"""Who shares a batch with whom, and that no image shows it: 60 requests of all kinds under three loads."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.models import self_test
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from benchmarks.imagegen.sameness import digests_at, mixed
from core.errors import InputError
from tests.apps.imagegen.gate import APPLE, SECONDS, Gate
from tests.apps.imagegen.models import lora
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the self-test, which has tests of its own."""
    monkeypatch.setattr(self_test, "prove", lambda *_: (4, 8, 16))


def test_the_bytes_of_60_mixed_images_do_not_depend_on_the_load(pipeline: Pipeline) -> None:
    requests = mixed(pipeline, 60)
    alone = digests_at(pipeline, requests, 1)
    assert len(set(alone)) == 60
    assert digests_at(pipeline, requests, 4) == alone
    assert digests_at(pipeline, requests[::-1], 16) == alone[::-1], "in another order, too"


class FakeAdapters:
    """One adapter that counts its uses, and one that cannot be used."""

    def __init__(self) -> None:
        self.used: list[tuple[str | None, float]] = []

    def digest(self, name: str) -> str:
        if name not in ("clay", "spoilt"):
            raise InputError("adapter_unknown", f"there is no adapter {name}")
        return name * 8

    def load(self, name: str, digest: str, scale: float) -> None:
        assert digest == name * 8

    @contextlib.contextmanager
    def use(self, name: str | None, scale: float, digest: str | None) -> Iterator[None]:
        if name == "spoilt":
            raise InputError("adapter_changed", "the adapter spoilt was replaced")
        assert digest == "clay" * 8
        self.used.append((name, scale))
        yield


def test_adapters_have_batches_of_their_own(pipeline: Pipeline, proven: None) -> None:
    adapters = FakeAdapters()
    with Engine(pipeline, adapters=adapters) as engine:
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
        with pytest.raises(RecipeError, match="is another file than"):
            engine.submit(replace(APPLE, adapter="clay", adapter_digest="0" * 64))
    assert adapters.used == [("clay", 0.5)] * 2


def test_the_first_use_of_a_size_or_an_adapter_stops_nobody(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("warm", "cold")):
        lora.write(tmp_path / f"{name}.safetensors", pipeline.unet, seed)
    adapters = AdapterCache(tmp_path, pipeline)
    # time of the engine's own thread: what else runs on this machine does not count
    times: list[float] = []

    def on_event(event: Event) -> None:
        if event.kind == "step":
            times.append(time.thread_time())

    def gaps(*others: Recipe) -> list[float]:
        times.clear()
        job = engine.submit(replace(APPLE, steps=60), on_event=on_event)
        for other in others:
            engine.submit(replace(other, steps=6)).result(SECONDS)
        job.result(SECONDS)
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    with Engine(pipeline, adapters=adapters, sizes=pipeline.limits.sizes) as engine:
        monkeypatch.setattr(self_test, "prove", None)  # whoever proves now fails
        engine.submit(APPLE).result(SECONDS)
        usual = statistics.median(gaps())
        for other in (
            replace(APPLE, width=48),
            replace(APPLE, adapter="warm"),
            replace(APPLE, adapter="cold", adapter_scale=0.5),
            replace(APPLE, prompt="red cat " * 30),
        ):
            result = sorted(gaps(other))
            assert len(result) == 59
            assert result[-1] < 3.0 * max(usual, statistics.median(result[-6:-1])), other


@pytest.mark.parametrize("words", [20, 240])
def test_a_long_prompt_gives_the_same_bytes_alone_and_beside_others(
    pipeline: Pipeline, proven: None, words: int
) -> None:
    long = replace(APPLE, prompt="red cat " * words)
    others = [replace(APPLE, seed=seed) for seed in range(3)]
    with Engine(pipeline) as engine:
        alone = engine.submit(long).result(SECONDS)
        gate = Gate()
        with gate.held(engine, APPLE):
            jobs = [engine.submit(one) for one in (others[0], long, *others[1:], replace(long, seed=5), long)]
        result = [job.result(SECONDS) for job in jobs]
        ends = engine.submit(replace(long, prompt=f"{'red cat ' * (words - 1)}blue car")).result(SECONDS)
    assert np.array_equal(result[1], alone)
    assert np.array_equal(result[5], alone)
    assert not np.array_equal(result[4], alone)
    assert np.array_equal(ends, alone) == (words == 240), "its end counts as far as it is read"
