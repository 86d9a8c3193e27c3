"""What the server adds to a network's own time, by the size of the request."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.command_line import whole
from benchmarks.serving.networks import export_dense
from benchmarks.serving.running import Client, inputs_of, request_of, running
from core.compute.threads import one_thread
from core.export.predictor import open_artifact

PROTOCOL = (
    "A dense network in one format, on one thread. One client with one kept connection to a server of its own process, "
    "which has the network in a third; each request follows the answer to the one before. In turn the same network is "
    "called in the client's process on the same input. Overhead: median of the request's time, sent to parsed by HTTP, "
    "less the median of the call's. The first twenty of each warm up and are left out."
)
_WARM = 20


def run(
    requests: str = "300", inputs: str = "64,4096,262144", runtime: str = "torchscript"
) -> dict[str, Any]:
    """Measure, and return the record's content. inputs: numbers of one request, comma-separated.

    Raises InputError for a number that is none.
    """
    count = whole("requests", requests)
    sizes = [whole("inputs", part) for part in inputs.split(",")]
    rows = [
        _measured(size, binary=binary, count=count, runtime=runtime)
        for size in sizes
        for binary in (True, False)
    ]
    return {
        "headline": {
            f"{row['inputs']:,} numbers as {'bytes' if row['binary'] else 'JSON'}": f"{row['overhead_ms']:.2f} ms"
            for row in rows
        },
        "protocol": PROTOCOL,
        "requests": count,
        "runtime": runtime,
        "rows": rows,
    }


def _measured(inputs: int, *, binary: bool, count: int, runtime: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, one_thread():
        folder = Path(place) / "exported"
        predictor = open_artifact(export_dense(folder, inputs, 64, 2, runtime), folder, threads=1)
        (x,) = inputs_of(1, inputs, [1])
        tensor = torch.from_numpy(x)
        body, json_bytes = request_of(x, binary=binary)
        bare, asked = [], []
        with running(folder, f"runtime={runtime}") as server:
            client = Client(server.port)
            for _ in range(count + _WARM):
                began = time.perf_counter()
                predictor(tensor)
                between = time.perf_counter()
                status, _, _ = client.ask(body, json_bytes)
                asked.append((time.perf_counter() - between) * 1e3)
                bare.append((between - began) * 1e3)
                assert status == 200
            client.close()
    asked, bare = asked[_WARM:], bare[_WARM:]
    return {
        "inputs": inputs,
        "binary": binary,
        "request_ms": statistics.median(asked),
        "bare_ms": statistics.median(bare),
        "overhead_ms": statistics.median(asked) - statistics.median(bare),
        "request_ms_95": statistics.quantiles(asked, n=20)[-1],
    }
