"""Who shares a batch with whom, and that no image shows it: 60 requests of all kinds under three loads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.imagegen.data.recipe import RecipeError
from apps.imagegen.models import engine as engine_module
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from benchmarks.imagegen.sameness import digests_at, mixed
from core.errors import InputError
from tests.apps.imagegen.gate import APPLE, SECONDS, Gate
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the self-test, which has tests of its own."""
    monkeypatch.setattr(engine_module, "prove", lambda *_: (4, 8, 16))


def test_the_bytes_of_60_mixed_images_do_not_depend_on_the_load(pipeline: Pipeline) -> None:
    requests = mixed(pipeline, 60)
    alone = digests_at(pipeline, requests, 1)
    assert len(set(alone)) == 60
    assert digests_at(pipeline, requests, 4) == alone
    assert digests_at(pipeline, requests[::-1], 16) == alone[::-1], "in another order, too"


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
