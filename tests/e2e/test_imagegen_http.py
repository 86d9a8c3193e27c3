"""The command `triptych-imagegen stage=serve` as its users meet it: a process of its own, hostile and hasty clients."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.apps.imagegen.served import drawn, until
from tests.apps.imagegen.tiny import tiny_sd15
from tests.e2e.served_command import Command, served_command

pytestmark = pytest.mark.e2e

QUICK: dict[str, Any] = {"prompt": "a cat", "steps": 2, "seed": 3}


@contextlib.contextmanager
def command(folder: Path, *words: str) -> Iterator[Command]:
    """Serve a folder of Stable Diffusion 1.5's layout on a free port; give it once it is ready."""
    model = tiny_sd15(folder / "sd15")
    with served_command("imagegen", folder / "run", f"weights={model}", *words) as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with command(
        tmp_path_factory.mktemp("http"), "serve.rows=4", "serve.waiting=40", "serve.body_mb=2"
    ) as running:
        yield running


def png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to width × height × 3 bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    packed = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def still_draws(url: str) -> None:
    reply = httpx.post(f"{url}/v1/images/generations", json=QUICK, timeout=60)
    assert reply.status_code == 200
    assert reply.json()["data"][0]["recipe"]["seed"] == 3


JSON_FAULTS = [
    ('{"prompt": ""}', 400, "prompt_empty"),
    ('{"prompt": "  \\n"}', 400, "prompt_empty"),
    ('{"prompt": "' + "a" * 1_000_000 + '"}', 400, "prompt_too_long"),
    ('{"prompt": "' + "a" * 3_000_000 + '"}', 413, "body_too_large"),
    ('{"prompt": "\\ud800"}', 400, "prompt_unreadable"),
    ('{"prompt": "a\\u0000b"}', 400, "prompt_unreadable"),
    ('{"prompt": "a", "negative_prompt": "\\udfff"}', 400, "prompt_unreadable"),
    ('{"prompt": null}', 400, "field_missing"),
    ('{"prompt": ["a"]}', 400, "field_type"),
    ('{"prompt": "a", "n": 0}', 400, "count_range"),
    ('{"prompt": "a", "n": 1000000}', 400, "count_range"),
    ('{"prompt": "a", "n": -1}', 400, "count_range"),
    ('{"prompt": "a", "n": 1e2}', 400, "field_type"),
    ('{"prompt": "a", "size": "33x32"}', 400, "size_unknown"),
    ('{"prompt": "a", "size": "99999x99999"}', 400, "size_unknown"),
    ('{"prompt": "a", "guidance": NaN}', 400, "guidance_range"),
    ('{"prompt": "a", "guidance": Infinity}', 400, "guidance_range"),
    ('{"prompt": "a", "guidance": -1e999}', 400, "guidance_range"),
    ('{"prompt": "a", "adapter_scale": NaN}', 400, "adapter_scale_range"),
    ('{"prompt": "a", "steps": 0}', 400, "steps_range"),
    ('{"prompt": "a", "steps": 100000}', 400, "steps_range"),
    ('{"prompt": "a", "steps": NaN}', 400, "field_type"),
    ('{"prompt": "a", "seed": -2}', 400, "seed_range"),
    ('{"prompt": "a", "seed": 9223372036854775808}', 400, "seed_range"),
    ('{"prompt": "a", "seed": 1e400}', 400, "field_type"),
    ('{"prompt": "a", "scheduler": "magic"}', 400, "scheduler_unknown"),
    ('{"prompt": "a", "scheduler": "\\ud800"}', 400, "scheduler_unknown"),
    ('{"prompt": "a", "adapter": "../../etc/passwd"}', 400, "adapter_unknown"),
    ('{"prompt": "a", "adapter": "\\u0000"}', 400, "adapter_unknown"),
    ('{"prompt": "a", "stpes": 3}', 400, "field_unknown"),
    ('{"prompt": "a", "\\ud800": 3}', 400, "field_unknown"),
    ('{"prompt": "a", "strength": 0.5}', 400, "strength_without_image"),
    ('{"prompt": "a", "model": "dall-e-3"}', 404, "model_not_found"),
    ('{"prompt": "a"', 400, "body_not_json"),
    ("[" * 100_000, 400, "body_not_json"),
    ("", 400, "body_not_json"),
    ("7", 400, "body_not_object"),
]


@pytest.mark.parametrize(
    ("body", "status", "code"), JSON_FAULTS, ids=[f"{fault[0][:40]}" for fault in JSON_FAULTS]
)
def test_bad_json_gets_its_status_and_one_sentence(
    running: Command, body: str, status: int, code: str
) -> None:
    reply = httpx.post(
        f"{running.url}/v1/images/generations",
        content=body.encode(),
        headers={"content-type": "application/json"},
        timeout=60,
    )
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert 10 < len(error["message"]) < 400
    assert "\n" not in error["message"]
    assert error["message"].isascii() or "…" in error["message"] or "×" in error["message"]


def test_a_text_of_every_script_is_drawn(running: Command) -> None:
    for prompt in (
        "红苹果",
        "\u202eelppa der",
        "🍎👩🏽‍🚀",
        "e\u0301" * 500,
        "تفاحة",
        "a\tb\nc",
        "'; DROP TABLE --",
        "\uffff",
    ):
        reply = httpx.post(
            f"{running.url}/v1/images/generations", json={**QUICK, "prompt": prompt}, timeout=60
        )
        assert (reply.status_code, reply.json()["data"][0]["recipe"]["prompt"]) == (200, prompt)


@pytest.mark.parametrize(
    ("image", "mask", "code", "param"),
    [
        (b"", None, "image_empty", "image"),
        (b"GIF89a" + b"\0" * 50, None, "image_format", "image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, None, "image_broken", "image"),
        (png(32, 32)[:60], None, "image_broken", "image"),
        (bomb(60_000, 60_000), None, "image_too_large", "image"),
        (bomb(2**31 - 1, 2**31 - 1), None, "image_too_large", "image"),
        (bomb(3000, 3000), None, "image_broken", "image"),
        (png(32, 32), png(31, 32), "mask_size", "mask"),
        (png(32, 32), png(32, 32), "mask_empty", "mask"),
        (png(32, 32), b"no", "image_format", "mask"),
        (png(32, 32), bomb(60_000, 60_000), "image_too_large", "mask"),
    ],
)
def test_bad_pictures_are_refused(
    running: Command, image: bytes, mask: bytes | None, code: str, param: str
) -> None:
    files = {"image": image} if mask is None else {"image": image, "mask": mask}
    reply = httpx.post(f"{running.url}/v1/images/edits", data={"prompt": "a"}, files=files, timeout=60)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (400, code, param)
    still_draws(running.url)


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/v1/images/generations", "text/plain", b"{}", 415),
        ("/v1/images/generations", "multipart/form-data; boundary=x", b"--x--", 415),
        ("/v1/images/edits", "application/json", b"{}", 415),
        ("/v1/images/edits", "multipart/form-data", b"--x--", 400),
        ("/v1/images/edits", "multipart/form-data; boundary=x", b"--x\r\n\r\nbroken", 400),
        ("/v1/images/edits", "multipart/form-data; boundary=x", b"--x--\r\n", 400),
        ("/api/generate", "application/xml", b"<a/>", 415),
        ("/api/replay", "application/json", b"{}", 415),
        ("/v1/images/nothing", "application/json", b"{}", 404),
    ],
)
def test_wrong_content_is_refused(
    running: Command, path: str, content_type: str, body: bytes, status: int
) -> None:
    reply = httpx.post(running.url + path, content=body, headers={"content-type": content_type})
    assert (reply.status_code, set(reply.json())) == (status, {"error"})
    still_draws(running.url)


def test_other_methods_are_405(running: Command) -> None:
    reply = httpx.get(f"{running.url}/v1/images/generations")
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "method_not_allowed")


def test_connections_dropped_at_any_moment_leave_nothing_behind(running: Command) -> None:
    """A request is cut after each of many lengths, and its answer after each of many moments."""
    address = urlsplit(running.url)
    body = json.dumps({**QUICK, "steps": 60, "stream": True, "partial_images": 3, "n": 2}).encode()
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    whole = head + body
    for length in (1, 20, len(head) - 2, len(head), len(head) + 1, len(whole) - 1):
        with socket.create_connection((address.hostname, address.port or 80)) as one:
            one.sendall(whole[:length])
    for moment in (0.0, 0.002, 0.01, 0.05, 0.2, 0.5):
        with socket.create_connection((address.hostname, address.port or 80)) as one:
            one.sendall(whole)
            time.sleep(moment)
    until(
        lambda: (
            running.metric("imagegen_pictures_running") + running.metric("imagegen_pictures_waiting") == 0
        ),
        5,
    )
    still_draws(running.url)


def test_a_picture_does_not_depend_on_who_else_is_served(running: Command) -> None:
    """Twenty users at once get what each would get alone; one of them leaves."""

    def ask(user: int) -> bytes:
        body = {"prompt": f"cat {user}", "steps": 2 + user % 5, "seed": user, "guidance": 1 + user % 3}
        return httpx.post(f"{running.url}/v1/images/generations", json=body, timeout=120).content

    def data(reply: bytes) -> str:
        return str(json.loads(reply)["data"][0]["b64_json"])

    alone = [data(ask(user)) for user in range(20)]
    assert len(set(alone)) == 20
    with ThreadPoolExecutor(20) as pool:
        with httpx.stream("POST", f"{running.url}/api/generate", json={**QUICK, "steps": 100}, timeout=60):
            replies = pool.map(ask, range(20))
        together = [data(reply) for reply in replies]
    assert together == alone


def test_no_prompt_is_in_any_file_of_the_run(running: Command) -> None:
    word = "unmistakable-word"
    drawn(running.url, json={**QUICK, "prompt": word})
    httpx.post(f"{running.url}/v1/images/generations", json={"prompt": word, "n": 0})
    files = [path for path in running.run_dir.rglob("*") if path.is_file()]
    assert "log.jsonl" in {path.name for path in files}
    assert not [path.name for path in files if word.encode() in path.read_bytes()]


def test_a_signal_lets_pictures_under_way_end_and_exits_with_0(tmp_path: Path) -> None:
    with command(tmp_path, "serve.grace=60") as running:
        replies: list[httpx.Response] = []
        body = {**QUICK, "steps": 60}
        client = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{running.url}/v1/images/generations", json=body, timeout=120)
            )
        )
        client.start()
        until(lambda: running.metric("imagegen_pictures_running") == 1, 10)
        os.kill(running.process.pid, signal.SIGTERM)
        client.join()
        assert replies[0].status_code == 200
        assert running.process.wait(60) == 0
        assert running.process.stderr is not None
        assert "Traceback" not in running.process.stderr.read()


def test_a_wrong_start_ends_with_2_and_one_line(tmp_path: Path) -> None:
    words = ["stage=serve", f"run_dir={tmp_path / 'run'}", "serve.waiting=0"]
    line = [sys.executable, "-m", "pipelines.imagegen", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "serve.waiting" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
