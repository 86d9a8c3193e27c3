"""The server as a process of its own, and clients of plain HTTP that send bytes prepared before."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import ROOT
from benchmarks.serving.networks import MODEL
from core.errors import InputError

_TIMEOUT_S = 120.0
_JSON_BYTES = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Server:
    """A server that runs: its process, and its port on this machine."""

    pid: int
    port: int

    def children(self) -> list[int]:
        """Return the processes of its models, by Linux's list of a process's children."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


@contextlib.contextmanager
def running(folder: Path, *words: str) -> Iterator[Server]:
    """Serve a folder while the context lasts. words: more options. Raises InputError where it does not start."""
    command = [sys.executable, "-m", "pipelines.models", f"artifacts={folder}", "port=0", "threads=1"]
    process = subprocess.Popen(
        [*command, f"run_dir={folder.parent / 'run'}", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        if not line.startswith("listening on http://127.0.0.1:"):
            raise InputError("server", process.communicate()[1].strip())
        yield Server(process.pid, int(line.split(";")[0].rpartition(":")[2]))
    finally:
        process.terminate()
        process.communicate()


class Client:
    """One client with one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def ask(self, body: bytes, json_bytes: int | None) -> tuple[int, bytes, int | None]:
        """Send a request; return status, body and, of a binary answer, how much of it is JSON."""
        headers = {} if json_bytes is None else {_JSON_BYTES: str(json_bytes)}
        self._connection.request("POST", f"/v2/models/{MODEL}/infer", body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        length = answer.getheader(_JSON_BYTES)
        return answer.status, content, None if length is None else int(length)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def request_of(x_BI: NDArray, *, binary: bool) -> tuple[bytes, int | None]:
    """Return the body of a request, and how much of it is JSON; None where all is."""
    one: dict[str, Any] = {"name": "x", "shape": list(x_BI.shape), "datatype": "FP32"}
    if not binary:
        return json.dumps({"inputs": [{**one, "data": x_BI.reshape(-1).tolist()}]}).encode(), None
    one["parameters"] = {"binary_data_size": x_BI.nbytes}
    text = json.dumps({"inputs": [one], "parameters": {"binary_data_output": True}}).encode()
    return text + x_BI.astype("<f4").tobytes(), len(text)


def output_of(content: bytes, json_bytes: int | None) -> NDArray:
    """Return the output of an answer."""
    (output,) = json.loads(content[:json_bytes])["outputs"]
    if json_bytes is None:
        return np.array(output["data"], "f4").reshape(output["shape"])
    return np.frombuffer(content[json_bytes:], "<f4").reshape(output["shape"])


def inputs_of(count: int, inputs: int, rows: Sequence[int]) -> list[NDArray]:
    """Return inputs, the same in every call, of so many rows in turn."""
    draw = random.Random(1)
    generator = np.random.default_rng(1)
    return [generator.uniform(-1, 1, (draw.choice(list(rows)), inputs)).astype("f4") for _ in range(count)]
