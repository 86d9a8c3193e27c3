from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.openmp import release_workers

# Threads of the process: at first, with workers of a loop, without them, with new ones; and whether sums stay.
_COUNTED = """
import os, time, torch
from core.openmp import release_workers

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
before = threads()
numbers = torch.arange(10_000_000.0)
first = numbers.cos().sum()
during = threads()
release_workers()
end = time.monotonic() + 10
while threads() > before and time.monotonic() < end:
    time.sleep(0.01)
after = threads()
again = numbers.cos().sum()
print(during - before, after - before, threads() - before, bool(first == again))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux shows them")
def test_workers_end_and_come_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.split() == ["2", "0", "2", "True"]


def test_without_that_library_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "torch" / "__init__.py"))
    release_workers()
