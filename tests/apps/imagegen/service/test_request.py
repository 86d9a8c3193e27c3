"""One request's jobs and events, without an engine."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.job import Event, Job, Kind
from apps.imagegen.service import request as module
from apps.imagegen.service.request import GenerationRequest, note_headers
from core.serving.service_error import ServiceError


def request_of(*jobs: Job) -> GenerationRequest:
    made = GenerationRequest(asyncio.get_running_loop())
    for job in jobs:
        made.add(job)
    return made


def event(job: Job, kind: Kind, step: int = 0) -> Event:
    return Event(job, kind, step, 4, 0.0)


async def kinds_of(request: GenerationRequest) -> list[tuple[int, str]]:
    return [(index, one.kind) async for index, one in request.events()]


def test_events_come_until_every_picture_has_ended() -> None:
    async def run() -> list[tuple[int, str]]:
        first, second = Job(Recipe("a")), Job(Recipe("b"))
        request = request_of(first, second)
        for index, job, kind in ((0, first, "step"), (1, second, "cancelled"), (0, first, "done")):
            request.on_event(index, event(job, kind))  # type: ignore[arg-type]
        return await asyncio.wait_for(kinds_of(request), 10)

    assert asyncio.run(run()) == [(0, "step"), (1, "cancelled"), (0, "done")]


def test_a_second_reader_begins_with_the_newest_event_of_each_kind() -> None:
    async def run() -> list[tuple[str, int]]:
        job = Job(Recipe("a"))
        request = request_of(job)
        for step in (1, 2):
            request.on_event(0, event(job, "step", step))
        first = request.events()
        assert [(await anext(first))[1].step for _ in range(2)] == [1, 2]
        request.on_event(0, event(job, "done", 4))
        return [(one.kind, one.step) async for _, one in request.events()]

    assert asyncio.run(run()) == [("step", 2), ("done", 4)]


def test_a_reader_of_an_engine_that_died_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE_S", 0.01)

    async def run() -> None:
        job = Job(Recipe("a"))
        job.end(np.zeros((8, 8, 3), dtype=np.uint8), None)
        await kinds_of(request_of(job))

    with pytest.raises(ServiceError, match="the engine has ended") as caught:
        asyncio.run(run())
    assert (caught.value.status, caught.value.code) == (503, "engine_ended")


def test_release_cancels_the_jobs_and_forgets_the_request() -> None:
    async def run() -> tuple[bool, list[str]]:
        job, forgotten = Job(Recipe("a")), []
        request = request_of(job)
        request.on_release = lambda: forgotten.append(request.id)
        request.release()
        return job.cancelled, [name for name in forgotten if name == request.id]

    cancelled, forgotten = asyncio.run(run())
    assert cancelled
    assert len(forgotten) == 1


def test_a_job_added_to_an_abandoned_request_is_cancelled() -> None:
    async def run() -> list[bool]:
        jobs = [Job(Recipe("a")), Job(Recipe("b"))]
        request = request_of(jobs[0])
        request.abandon()
        request.add(jobs[1])
        return [job.cancelled for job in jobs]

    assert asyncio.run(run()) == [True, True]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_detached_request_is_kept_for_another_reader(comes_back: bool) -> None:
    async def run() -> bool:
        job = Job(Recipe("a"))
        request = request_of(job)
        request.keep_s = 0.05
        request.on_event(0, event(job, "step"))
        await anext(request.events())
        request.detach()
        assert not job.cancelled
        if comes_back:
            await anext(request.events())
        await asyncio.sleep(0.2)
        return job.cancelled

    assert asyncio.run(run()) != comes_back


def test_notes_travel_in_a_header_of_ascii() -> None:
    assert note_headers([]) == {}
    assert note_headers(["a → b", "c"]) == {"X-Notes": "a \\u2192 b; c"}
    assert len(note_headers(["x" * 5000])["X-Notes"]) == 2000
