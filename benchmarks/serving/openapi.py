"""Requests drawn at random from a service's own OpenAPI, by schemathesis: none may end in a fault of the service."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.command_line import whole
from benchmarks.record import ROOT
from core.errors import InputError

SERVICES = ("nodule", "risk", "imagegen", "models")
# A random body is no study, no table and no tensor: that one is taken cannot be asked for.
LEFT_OUT = "positive_data_acceptance"
_CASES = re.compile(r"(\d+) generated, (\d+) passed")
_OPERATIONS = re.compile(r"Tested: (\d+)")
_END_S = 60.0


def run(service: str = "nodule", seconds: str = "600", words: str = "") -> dict[str, Any]:
    """Return how many requests were made of a service, and how many answers broke its own description.

    service: nodule, risk, imagegen, or models, the server of exported networks. words: further ones of its command,
    separated by spaces, such as artifacts=DIR. Raises InputError for another service, or one that does not start.
    """
    if service not in SERVICES:
        raise InputError("option", f"service is {service!r}; there are {', '.join(SERVICES)}")
    budget = whole("seconds", seconds)
    with tempfile.TemporaryDirectory() as folder, served(service, Path(folder) / "run", words.split()) as url:
        said = asked(url, budget, Path(folder))
        alive = httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK
        log = (Path(folder) / "run" / "log.jsonl").read_text("utf-8")
    cases, operations = _CASES.search(said), _OPERATIONS.search(said)
    if cases is None or operations is None:
        raise InputError("openapi", f"schemathesis made no requests: {said.strip().splitlines()[-1:]}")
    broken = int(cases[1]) - int(cases[2])
    return {
        "headline": {
            "requests": cases[1],
            "operations": operations[1],
            "answers outside the description": str(broken),
            "ready afterwards": "yes" if alive else "no",
        },
        "service": service,
        "seconds_asked": budget,
        "requests": int(cases[1]),
        "broken": broken,
        "faults_logged": log.count('"event": "fault"') + log.count('"event":"fault"'),
        "ready_afterwards": alive,
        "failures": said.partition("FAILURES")[2][:4000],
    }


@contextlib.contextmanager
def served(service: str, run_dir: Path, words: Sequence[str]) -> Iterator[str]:
    """Start a service on a free port and give its URL; it ends with the context."""
    stage = [] if service == "models" else ["stage=serve"]
    line = [sys.executable, "-m", f"pipelines.{service}", *stage, "port=0", f"run_dir={run_dir}", *words]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        for said in process.stdout:
            if said.startswith("listening on "):
                yield said.split()[2].rstrip(";")
                return
        raise InputError("openapi", f"the service did not start: {process.stderr.read()[-300:]}")
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def asked(url: str, seconds: int, folder: Path) -> str:
    """Let schemathesis ask for so long, and return what it said. folder: for what it leaves."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json"]
    options = [f"--max-time={seconds}", f"--exclude-checks={LEFT_OUT}", "--continue-on-failure", "--no-color"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr
