"""The engine's step, called here, without a thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import Cancelled, EngineClosed
from apps.imagegen.models import self_test
from apps.imagegen.models.batch_scheduler import BatchScheduler
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.engine_core import EngineCore
from apps.imagegen.models.job import Event, Job
from apps.imagegen.models.job_events import JobEvents
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.throughput import Throughput
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


@pytest.fixture(autouse=True)
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the self-test, which has tests of its own."""
    monkeypatch.setattr(self_test, "prove", lambda *_: (4, 8))


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Stepped:
    """A core with its scheduler and what was sent."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.events: list[Event] = []
        throughput = Throughput()
        self.scheduler = BatchScheduler(8, throughput)
        self.core = EngineCore(
            pipeline,
            self.scheduler,
            rows=8,
            adapters=None,
            throughput=throughput,
            events=JobEvents(self.events.append),
        )

    def submit(self, **fields: object) -> Job:
        job = Job(self.pipeline.resolve(replace(Recipe("red apple", steps=3), **fields)))  # type: ignore[arg-type]
        self.scheduler.add(job)
        return job

    def kinds(self, job: Job) -> list[str]:
        return [event.kind for event in self.events if event.job is job]


@pytest.fixture
def stepped(pipeline: Pipeline) -> Stepped:
    return Stepped(pipeline)


def test_without_jobs_there_is_no_step(stepped: Stepped) -> None:
    assert not stepped.core.step()
    assert stepped.events == []


def test_a_step_is_one_denoising_step_of_all_that_run(stepped: Stepped) -> None:
    first = stepped.submit(seed=1)
    assert stepped.core.step()
    second = stepped.submit(seed=2, steps=2)
    assert stepped.core.step()
    assert stepped.kinds(first) == ["started", "step", "step"]
    assert stepped.kinds(second) == ["started", "step"]
    assert stepped.core.step()
    assert (first.done(), second.done()) == (True, True)
    assert not stepped.core.step()
    assert stepped.scheduler.busy() == (0, 0)


def test_it_draws_the_bytes_that_the_engine_draws(stepped: Stepped) -> None:
    jobs = [stepped.submit(seed=seed) for seed in range(3)]
    while stepped.core.step():
        pass
    with Engine(stepped.pipeline, rows=8) as engine:
        alone = [engine.submit(job.recipe).result(60) for job in jobs]
    assert all(np.array_equal(job.result(0), one) for job, one in zip(jobs, alone, strict=True))


def test_a_cancelled_job_ends_at_the_next_step_and_another_takes_its_place(stepped: Stepped) -> None:
    jobs = [stepped.submit(seed=seed, steps=9) for seed in range(5)]
    stepped.core.step()
    assert stepped.scheduler.busy() == (4, 1)
    jobs[0].cancel()
    stepped.core.step()
    assert stepped.kinds(jobs[0]) == ["started", "step", "cancelled"]
    assert stepped.kinds(jobs[4]) == ["started", "step"]
    assert stepped.scheduler.busy() == (4, 0)
    with pytest.raises(Cancelled):
        jobs[0].result(0)


def test_a_core_that_is_abandoned_ends_every_job(stepped: Stepped) -> None:
    jobs = [stepped.submit(seed=seed) for seed in range(6)]
    stepped.core.step()
    stepped.core.abandon()
    for job in jobs:
        with pytest.raises(EngineClosed) as caught:
            job.result(0)
        assert caught.value.code == "engine_died"
        assert stepped.kinds(job)[-1] == "failed"
    assert not stepped.core.step()


def test_sizes_are_proven_once(pipeline: Pipeline, stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    proven: list[object] = []

    def prove(_: Pipeline, sizes: tuple[int, ...], picture: object) -> tuple[int, ...]:
        proven.append(picture)
        return sizes

    monkeypatch.setattr(self_test, "prove", prove)
    stepped.core.prove([pipeline.own_size, (48, 32), pipeline.own_size])
    stepped.submit(width=48)
    while stepped.core.step():
        pass
    assert proven == [pipeline.own_size, (48, 32)]


def test_exported_networks_that_no_batch_holds_for_are_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_test, "prove", lambda *_: ())
    Stepped(pipeline).core.prove([pipeline.own_size])  # PyTorch then draws one by one
    exported = Stepped(replace(pipeline, runtime="openvino:0123"))
    with pytest.raises(
        InputError, match="openvino gives a picture other bytes beside other pictures"
    ) as caught:
        exported.core.prove([pipeline.own_size])
    assert caught.value.code == "runtime_rows"
