"""Whether answers stay right while the processes of a model are killed under load."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command_line import whole
from benchmarks.serving.networks import export_dense
from benchmarks.serving.running import Client, Server, inputs_of, output_of, request_of, running
from core.compute.threads import one_thread
from core.export.predictor import open_artifact

PROTOCOL = (
    "Clients ask again and again for one to four rows, as bytes, with batching, of a server with one process of the "
    "network, or several; each answer is compared with that of the same network in the client's process, to 1e-5. At "
    "random times, on average every so many seconds, a process of the model gets SIGKILL. Right: 200 with the right "
    "numbers. Refused: another status, by its code. Broken: no HTTP answer."
)
_INPUTS = 64
_SAMPLES = 64
_TOLERANCE = 1e-5


@dataclass
class Tally:
    """What became of the requests."""

    right: int = 0
    wrong: int = 0
    broken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self, status: int, content: bytes, json_bytes: int | None, expected: NDArray, seconds: float
    ) -> None:
        """Count one answer."""
        with self.lock:
            self.seconds.append(seconds)
            if status != 200:
                self.refused[f"{status} {json.loads(content)['code']}"] += 1
                return
            output = output_of(content, json_bytes)
            fits = output.shape == expected.shape and np.allclose(output, expected, atol=_TOLERANCE)
            self.right += int(fits)
            self.wrong += int(not fits)


def run(
    seconds: str = "300",
    every: str = "5",
    clients: str = "8",
    processes: str = "1",
    runtime: str = "torchscript",
) -> dict[str, Any]:
    """Measure, and return the record's content. every: mean seconds between kills.

    Raises InputError for a number that is none.
    """
    lasting, pause, count = whole("seconds", seconds), whole("every", every), whole("clients", clients)
    tally = Tally()
    with tempfile.TemporaryDirectory() as place, one_thread():
        folder = Path(place) / "exported"
        predictor = open_artifact(export_dense(folder, _INPUTS, 256, 4, runtime), folder, threads=1)
        samples = []
        for x in inputs_of(_SAMPLES, _INPUTS, range(1, 5)):
            output = predictor(torch.from_numpy(x))
            assert isinstance(output, torch.Tensor)
            samples.append((request_of(x, binary=True), output.numpy()))
        options = (f"runtime={runtime}", f"processes={whole('processes', processes)}")
        with running(folder, *options) as server:
            end = time.monotonic() + lasting
            threads = [
                threading.Thread(target=_ask, args=(server, samples, tally, seed, end))
                for seed in range(count)
            ]
            for thread in threads:
                thread.start()
            kills = _kill(server, pause, end)
            for thread in threads:
                thread.join()
    total = tally.right + tally.wrong + tally.broken + tally.refused.total()
    return {
        "headline": {
            "right": f"{tally.right:,} of {total:,}",
            "wrong": f"{tally.wrong}",
            "refused": f"{tally.refused.total()}",
            "without an answer": f"{tally.broken}",
            "kills": f"{kills}",
        },
        "protocol": PROTOCOL,
        "seconds": lasting,
        "every": pause,
        "clients": count,
        "processes": int(processes),
        "runtime": runtime,
        "refused": dict(tally.refused),
        "request_ms": {
            "median": statistics.median(tally.seconds) * 1e3,
            "high": max(tally.seconds) * 1e3,
        },
    }


def _ask(server: Server, samples: list[Any], tally: Tally, seed: int, end: float) -> None:
    draw = random.Random(seed)
    client = Client(server.port)
    while time.monotonic() < end:
        (body, json_bytes), expected = draw.choice(samples)
        began = time.perf_counter()
        try:
            answer = client.ask(body, json_bytes)
        except (OSError, http.client.HTTPException):
            with tally.lock:
                tally.broken += 1
            client.close()
            continue
        tally.add(*answer, expected, time.perf_counter() - began)
    client.close()


def _kill(server: Server, every: float, end: float) -> int:
    """Kill a process of the model at random times until the end; return how many were killed."""
    draw = random.Random(0)
    kills = 0
    while True:
        time.sleep(min(draw.uniform(0, 2 * every), max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return kills
        children = server.children()
        if children:
            os.kill(draw.choice(children), signal.SIGKILL)
            kills += 1
