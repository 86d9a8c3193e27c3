"""A command's `stage=serve` as a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.core.serving.service import until

STARTS_S = 120.0


@dataclass
class Command:
    """A running `stage=serve`."""

    process: subprocess.Popen[str]
    url: str
    run_dir: Path

    def metric(self, name: str) -> float:
        """A figure of /metrics."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).rpartition(" ")[2])

    def children(self) -> list[int]:
        """The processes that it has started and that run."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> int:
        """End it as an operator does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STARTS_S)


@contextlib.contextmanager
def served_command(app: str, run_dir: Path, *words: str) -> Iterator[Command]:
    """Serve until the context ends; give it once it is ready. app: nodule, risk or imagegen."""
    line = [sys.executable, "-m", f"pipelines.{app}", "stage=serve", "port=0", f"run_dir={run_dir}", *words]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said[:2] == ["listening", "on"], process.stderr and process.stderr.read()
        running = Command(process, said[2].rstrip(";"), run_dir)
        until(lambda: httpx.get(f"{running.url}/health/ready").status_code == 200, STARTS_S)
        yield running
    finally:
        process.kill()
        process.communicate()
