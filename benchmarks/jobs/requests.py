"""Image requests with an Idempotency-Key while the service is killed: every accepted one delivered, with its bytes."""

from __future__ import annotations

import base64
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from apps.imagegen import draw, load_pipeline
from benchmarks.command_line import whole
from benchmarks.jobs.killing import Killed, expect_line, start_process, until

PROTOCOL = (
    "`triptych-imagegen stage=serve` on a free port of this machine. Clients, four at once, send requests with a "
    "key each and `Prefer: respond-async`, and repeat one until it is accepted (202); from then on they only ask "
    "for its answer. The service is killed by SIGKILL at random moments, spread over the answers, and started "
    "again. In the end every accepted request must have its answer, a second POST with its key must give the same "
    "reply, and its picture must have the bytes that its recipe gives in a process that nobody killed."
)
CLIENTS = 4
LOST = (httpx.TransportError, OSError)
PROMPTS = ("red apple", "a cat", "blue car", "a face", "pizza", "a heart")


class Service:
    """The service, started anew on one port after each death."""

    def __init__(self, folder: Path, weights: str) -> None:
        self._folder = folder
        self._weights = [f"weights={weights}"] if weights else []
        self._port = 0
        self.url = ""

    def start(self) -> subprocess.Popen[str]:
        """Start it, and return once it listens."""
        words = ["stage=serve", f"port={self._port}", f"serve.kept={self._folder / 'kept'}", *self._weights]
        process = start_process(
            [sys.executable, "-m", "pipelines.imagegen", *words],
            self._folder,
            TRIPTYCH_JOBS=str(self._folder / "jobs.sqlite"),
        )
        self.url = expect_line(process, "listening on ").split()[2].rstrip(";,")
        self._port = int(self.url.rpartition(":")[2])
        return process


def run(number: str = "200", kills: str = "20", steps: str = "10", weights: str = "") -> dict[str, Any]:
    """Measure, and return the record's content. weights: folder of a pipeline, empty: the embedded one.

    Raises InputError for a number that is none, and as load_pipeline does.
    """
    count, deaths, taken = whole("number", number), whole("kills", kills, 0), whole("steps", steps)
    chance = random.Random(4)
    began = time.monotonic()
    bodies = [_body(item, taken) for item in range(count)]
    with tempfile.TemporaryDirectory() as name:
        service = Service(Path(name), weights)
        killed = Killed(service.start)
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                accepted = [clients.submit(_accepted, service, item, bodies[item]) for item in range(count)]
                for place in sorted(chance.sample(range(count), deaths)):
                    until(partial(_farther, Path(name), place))
                    time.sleep(chance.uniform(0, 0.5))
                    killed.kill(chance)
                places = [one.result() for one in accepted]
            replies = [_result(service, place) for place in places]
            again = [_posted(service, item, bodies[item]) for item in range(count)]
        finally:
            killed.close()
        files = _answers(Path(name))
    same = _same_bytes(replies, bodies, weights)
    repeated = sum(first == second for first, second in zip(replies, again, strict=True))
    return {
        "headline": {
            "accepted requests answered": f"{len(replies)} of {count}",
            "pictures with the bytes of their recipe": f"{same} of {count}",
            "same reply again": f"{repeated} of {count}",
            "deaths": killed.kills,
        },
        "protocol": PROTOCOL,
        "requests": count,
        "answered": len(replies),
        "same_bytes": same,
        "same_reply": repeated,
        "answer_files": files,
        "deaths": killed.kills,
        "steps": taken,
        "seconds": round(time.monotonic() - began, 1),
    }


def _body(item: int, steps: int) -> dict[str, Any]:
    return {"prompt": PROMPTS[item % len(PROMPTS)], "steps": steps, "seed": item}


def _post(service: Service, item: int, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/v1/images/generations",
        json=body,
        headers={"Idempotency-Key": f"request-{item}", **headers},
        timeout=120,
    )


def _accepted(service: Service, item: int, body: dict[str, Any]) -> str:
    """Send a request until it is accepted, and return where its state is."""

    def location() -> str:
        try:
            reply = _post(service, item, body, Prefer="respond-async")
        except LOST:  # the service was killed
            return ""
        return reply.headers["location"] if reply.status_code == 202 else ""

    return str(until(location))


def _result(service: Service, place: str) -> bytes:
    """Wait for an answer, only by asking for it."""

    def answer() -> bytes:
        try:
            reply = httpx.get(f"{service.url}{place}/result", timeout=120)
        except LOST:
            return b""
        return reply.content if reply.status_code == 200 else b""

    return bytes(until(answer))


def _posted(service: Service, item: int, body: dict[str, Any]) -> bytes:
    return _post(service, item, body).content


def _answers(folder: Path) -> int:
    kept = folder / "kept"
    return sum(path.suffix == ".json" for path in kept.iterdir()) if kept.is_dir() else 0


def _farther(folder: Path, place: int) -> bool:
    return _answers(folder) > place


def _same_bytes(replies: Sequence[bytes], bodies: Sequence[dict[str, Any]], weights: str) -> int:
    """Return how many replies have the picture that `draw` draws for their body."""
    pipeline = load_pipeline(weights or None)
    same = 0
    for reply, body in zip(replies, bodies, strict=True):
        data = base64.b64decode(httpx.Response(200, content=reply).json()["data"][0]["b64_json"])
        [own] = draw(body["prompt"], seed=body["seed"], steps=body["steps"], pipeline=pipeline)
        same += hashlib.sha256(data).digest() == hashlib.sha256(own.png).digest()
    return same
