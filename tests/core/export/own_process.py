"""Run a function of a test in a process of its own: compilers leave threads, patches and warnings behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Where `make setup-dev` puts it, apart from the other packages: transformers imports its torchao wherever it sees it.
EXECUTORCH = Path(sys.prefix) / "executorch"


def in_own_process(function: Callable[..., None], *words: str | Path) -> None:
    """Call a function of a test module with words; fails with what the process printed where it fails."""
    call = f"import sys; from {function.__module__} import {function.__name__} as run; run(*sys.argv[1:])"
    path = os.pathsep.join([str(ROOT), *([str(EXECUTORCH)] if EXECUTORCH.is_dir() else [])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", call, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def need_executorch() -> None:
    """Skip a test where ExecuTorch is not installed, beside the other packages or apart."""
    if find_spec("executorch") is None and not EXECUTORCH.is_dir():
        pytest.skip("ExecuTorch is not installed: make setup-dev")
