"""Requests a second of many clients with batching, over those without."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.command_line import whole
from benchmarks.serving.networks import export_dense
from benchmarks.serving.running import Client, Server, inputs_of, request_of, running

PROTOCOL = (
    "A dense network whose weights are read anew for each batch, on one thread in one process. So many clients, each "
    "with one kept connection, ask for one row again and again, as bytes; the same folder is served without batching "
    "(max_batch=1) and with it, in turn, three times each. Requests a second of all clients together, median of three; "
    "the first second of each turn is left out."
)
_TURNS = 3
_WARM_S = 1.0


def run(
    clients: str = "16",
    seconds: str = "5",
    width: str = "2048",
    layers: str = "6",
    runtime: str = "openvino",
    wait_ms: str = "0",
) -> dict[str, Any]:
    """Measure, and return the record's content. Raises InputError for a number that is none."""
    count, lasting, wait = whole("clients", clients), whole("seconds", seconds), whole("wait_ms", wait_ms, 0)
    inputs = 256
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "exported"
        artifact = export_dense(folder, inputs, whole("width", width), whole("layers", layers), runtime)
        rates: dict[int, list[float]] = {1: [], 64: []}
        for _ in range(_TURNS):
            for most, measured in rates.items():
                options = (f"runtime={runtime}", f"max_batch={most}", f"batch_wait={wait}")
                with running(folder, *options) as server:
                    measured.append(rate(server, count, lasting, inputs))
    alone, joined = (statistics.median(measured) for measured in rates.values())
    return {
        "headline": {
            f"{count} clients, with batching": f"{joined / alone:.1f}\N{MULTIPLICATION SIGN} the requests a second"
        },
        "protocol": PROTOCOL,
        "clients": count,
        "seconds": lasting,
        "wait_ms": wait,
        "width": int(width),
        "layers": int(layers),
        "runtime": runtime,
        "bare_ms": artifact.milliseconds,
        "rows_independent": artifact.rows_independent,
        "requests_per_second": {"alone": rates[1], "batched": rates[64]},
    }


def rate(server: Server, clients: int, seconds: float, inputs: int) -> float:
    """Return the requests a second of clients that ask again and again."""
    body, json_bytes = request_of(inputs_of(1, inputs, [1])[0], binary=True)
    began = time.monotonic() + _WARM_S
    end = began + seconds
    counts = [0] * clients

    def ask(index: int) -> None:
        client = Client(server.port)
        while (now := time.monotonic()) < end:
            status, _, _ = client.ask(body, json_bytes)
            assert status == 200
            counts[index] += now >= began
        client.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds
