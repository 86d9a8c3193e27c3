"""The application: what it refuses to start with, what it serves, when it is ready."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from apps.imagegen.config import ImagegenConfig, ServeConfig
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.service.app import WEB, build, defaults_of, end_process
from core.errors import ConfigError
from core.runs.folder import Run
from core.serving.keys import new_key
from tests.apps.imagegen.served import Service, service, starting, until
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("serve")) as serving:
        yield serving


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny")))


def test_the_command_line_gives_the_defaults(pipeline: Pipeline) -> None:
    cfg = ImagegenConfig(
        stage="serve", steps=30, guidance=2.0, scheduler="euler", serve=ServeConfig(waiting=3)
    )
    result = defaults_of(cfg, pipeline)
    assert (result.steps, result.guidance, result.scheduler, result.pictures) == (30, 2.0, "euler", 3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 1001}, "steps=1001: this service draws with 1 to 1000"),
    ],
)
def test_defaults_that_no_request_could_have_are_refused(
    pipeline: Pipeline, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        defaults_of(ImagegenConfig(stage="serve", **settings), pipeline)
    assert caught.value.sentence == sentence


def test_adapters_come_from_a_folder(pipeline: Pipeline, tmp_path: Path) -> None:
    opened = Run(tmp_path / "run")
    with opened.log, pytest.raises(ConfigError, match="the service takes a folder of adapters"):
        build(ImagegenConfig(stage="serve", adapter=str(tmp_path / "none")), pipeline, opened)


def test_it_lives_before_it_is_ready(tmp_path: Path) -> None:
    with starting(tmp_path) as running:
        assert httpx.get(f"{running.url}/health/live").status_code == 200
        until(lambda: httpx.get(f"{running.url}/health/ready").status_code == 200, 60)
        assert running.generation.busy() == (0, 0)


def test_a_self_test_that_fails_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("apps.imagegen.models.self_test.prove", fails)
    with starting(tmp_path) as running:
        until(lambda: running.faults == [1], 30)
        ready = httpx.get(f"{running.url}/health/ready")
        assert (ready.status_code, ready.json()["error"]["message"]) == (
            503,
            "not ready: the engine has failed",
        )
        assert isinstance(running.generation.fault, RuntimeError)


def test_ending_the_process_is_a_sigterm() -> None:
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        end_process()
        assert came.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(running: Service) -> None:
    reply = httpx.get(running.url)
    assert reply.headers["content-type"].startswith("text/html")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy
    files = sorted(path.name for path in WEB.iterdir() if path.name != "__init__.py")
    assert {"index.html", "style.css", "app.js", "key.js", "icon.svg"} <= set(files)
    for name in files:
        text = (WEB / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, name
        assert "https://" not in text, name
        assert httpx.get(f"{running.url}/{name.removesuffix('index.html')}").status_code == 200
    assert " style=" not in reply.text
    assert "<script>" not in reply.text
    assert os.path.getsize(WEB / "app.js") < 20_000


def test_metrics_tell_of_the_engine(running: Service) -> None:
    httpx.post(f"{running.url}/v1/images/generations", json={"prompt": "cat", "steps": 3})
    text = httpx.get(f"{running.url}/metrics").text
    for name in (
        "imagegen_steps_total",
        'imagegen_pictures_total{end="done"}',
        "imagegen_picture_seconds_count",
        "imagegen_pictures_running 0.0",
        "imagegen_pictures_waiting 0.0",
        "imagegen_batch_fill 0.0",
    ):
        assert name in text
    assert 'http_requests_total{method="POST",route="/v1/images/generations",status="200"}' in text


def test_the_schema_names_the_fields(running: Service) -> None:
    paths = httpx.get(f"{running.url}/openapi.json").json()["paths"]
    body = paths["/v1/images/generations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"prompt", "n", "size", "seed", "stream"} <= set(body["properties"])


def test_openais_client_is_let_in_by_its_key_and_to_what_its_role_allows(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secrets = {role: new_key(path, role, role) for role in ("read", "use")}

    def ask(secret: str) -> OpenAI:
        return OpenAI(base_url=f"{running.url}/v1", api_key=secret, max_retries=0)

    with service(tmp_path, keys=str(path), metrics="admin") as running:
        with ask(secrets["use"]) as client:
            result = client.images.generate(prompt="red apple", n=1, extra_body={"steps": 2, "seed": 1})
            assert result.data is not None
            assert len(result.data) == 1
        with ask(secrets["read"]) as client:
            assert [model.id for model in client.models.list()] == ["tiny"]
            with pytest.raises(
                openai.PermissionDeniedError, match="needs a key of role use, and yours has role read"
            ):
                client.images.generate(prompt="red apple")
        with ask("wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "key_unknown"
        assert httpx.get(f"{running.url}/metrics").status_code == 401
        with httpx.Client(base_url=running.url, headers={"X-API-Key": secrets["read"]}) as own:
            assert own.get("/api/model").status_code == 200
            assert own.get("/api/work/" + "0" * 12).status_code == 403, "pictures of others are not metadata"
