"""Requests that come and go: full queues, clients that leave, an engine that dies."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import EngineClosed
from apps.imagegen.service.forms import Upload
from core.serving.service_error import ServiceError
from tests.apps.imagegen.served import Service, drawn, parsed, service, until

SLOW = {"prompt": "cat", "steps": 100, "size": "48x48"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with service(tmp_path_factory.mktemp("studio"), waiting=4, rows=4) as serving:
        yield serving


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, format="PNG")
    return stream.getvalue()


def done(running: Service) -> str:
    """Return the line of the metrics that counts pictures drawn to their end."""
    lines = httpx.get(f"{running.url}/metrics").text.splitlines()
    return next(line for line in lines if line.startswith('imagegen_pictures_total{end="done"}'))


@pytest.mark.parametrize("path", ["/api/generate", "/v1/images/generations"])
def test_a_client_that_leaves_ends_its_work(running: Service, path: str) -> None:
    before = done(running)
    for streams in (False, True) if path.startswith("/v1") else (True,):
        body = {**SLOW, "n": 3, **({"stream": True} if streams and path.startswith("/v1") else {})}
        with httpx.Client() as client:
            try:
                with client.stream(
                    "POST", running.url + path, json=body, timeout=httpx.Timeout(60, read=0.3)
                ) as reply:
                    lines = reply.iter_lines()  # kept: dropping it would leave at once
                    next(lines)
                    until(lambda: running.running() > 0, 60)
            except httpx.ReadTimeout:
                assert not streams
        until(lambda: running.busy() == 0, 60)
    assert done(running) == before, "none was drawn to its end"
    assert drawn(running.url, json={"prompt": "cat", "steps": 2})[-1] == ("end", {"drawn": 1})


def test_a_request_that_does_not_fit_takes_no_place(running: Service) -> None:
    with httpx.stream("POST", f"{running.url}/api/generate", json={**SLOW, "n": 4}, timeout=60) as reply:
        events = parsed(reply.iter_lines())
        next(data for name, data in events if name == "step")
        waiting = running.generation.busy()[1]
        assert waiting >= 1
        refused = httpx.post(f"{running.url}/api/generate", json={**SLOW, "n": 4}, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["Retry-After"]) >= 1
        until(lambda: running.generation.busy()[1] <= waiting, 60)


def test_no_request_may_ask_for_more_than_can_ever_wait(running: Service) -> None:
    reply = httpx.post(f"{running.url}/api/generate", json={**SLOW, "n": 5})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "count_range")


def test_prompts_are_written_down_only_where_that_was_asked_for(running: Service, tmp_path: Path) -> None:
    word = "extraordinarily private"
    request = {"prompt": word, "steps": 1}
    drawn(running.url, json=request)
    files = [path for path in running.run.path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not any(word.encode() in path.read_bytes() for path in files)
    with service(tmp_path, log_prompts=True) as serving:
        work = drawn(serving.url, json=request)[0][1]["id"]
        (line,) = (serving.run.path / "prompts.jsonl").read_text("utf-8").splitlines()
        assert (json.loads(line)["work"], json.loads(line)["recipes"][0]["prompt"]) == (work, word)
        assert word not in (serving.run.path / "log.jsonl").read_text("utf-8")


@pytest.mark.parametrize("path", ["/api/generate", "/v1/images/generations"])
def test_nothing_is_drawn_where_its_prompt_cannot_be_logged(tmp_path: Path, path: str) -> None:
    with service(tmp_path, log_prompts=True) as running:
        log = running.run.path / "prompts.jsonl"
        log.mkdir()  # cannot be opened as a file, whoever runs this
        before = done(running)
        for _ in range(3):
            reply = httpx.post(f"{running.url}{path}", json={"prompt": "cat", "steps": 1, "n": 2})
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (507, "prompt_log_unwritable")
            assert "serve.log_prompts" in error["message"]
            assert str(tmp_path) not in error["message"]
        assert (running.busy(), running.generation.under_way(), done(running)) == (0, 0, before)
        log.rmdir()
        assert drawn(running.url, json={"prompt": "cat", "steps": 1})[-1] == ("end", {"drawn": 1})
        until(lambda: running.generation.under_way() == 0, 10)
        assert len(log.read_text("utf-8").splitlines()) == 1


def test_a_request_that_is_abandoned_while_it_is_handed_over_draws_nothing(
    running: Service, tmp_path: Path
) -> None:
    generation = running.generation

    async def leave_at_once() -> None:
        upload = Upload(image=png())
        drawing = asyncio.create_task(
            generation.draw(Recipe(prompt="cat", steps=100, strength=1.0), 3, upload, 0)
        )
        await asyncio.sleep(0)
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing

    before = done(running)
    asyncio.run(leave_at_once())
    until(lambda: running.busy() == 0, 60)
    assert (done(running), generation.under_way()) == (before, 0)


def test_an_engine_that_dies_is_reported_to_clients_and_to_whoever_watches(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        assert running.generation.engine is not None
        running.generation.engine.close(drain=False)
        reply = httpx.post(f"{running.url}/v1/images/generations", json={"prompt": "cat"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "shutting_down")
        ready = httpx.get(f"{running.url}/health/ready")
        assert (ready.status_code, ready.json()["error"]["message"]) == (
            503,
            "not ready: the engine has failed",
        )
        assert running.faults == [1]
        assert isinstance(running.generation.fault, EngineClosed)
        assert httpx.post(f"{running.url}/v1/images/generations", json={"prompt": "cat"}).status_code == 503


def test_nothing_is_drawn_before_the_engine_has_started(running: Service) -> None:
    generation = running.generation
    engine, generation.engine = generation.engine, None
    try:
        assert generation.waits_for() == "the engine tests itself"
        with pytest.raises(ServiceError, match="the engine tests itself") as caught:
            asyncio.run(generation.draw(Recipe(prompt="cat"), 1, Upload(), 0))
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "2"})
    finally:
        generation.engine = engine


def test_a_mask_without_a_picture_is_refused(running: Service) -> None:
    with pytest.raises(
        ServiceError, match="a mask says where to paint in an image: give the image too"
    ) as caught:
        asyncio.run(running.generation.draw(Recipe(prompt="cat"), 1, Upload(mask=b"x"), 0))
    assert (caught.value.status, caught.value.param) == (400, "image")
