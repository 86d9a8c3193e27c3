from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core import openmp

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


def test_only_a_library_that_can_release_is_asked(tmp_path: Path) -> None:
    folder = tmp_path / "torch"
    (folder / "lib").mkdir(parents=True)
    assert openmp._pauses(folder) == (), "another OpenMP: nothing is done"
    ours = next(Path(torch.__file__).parent.glob("lib/libgomp*.so*"), None)
    if ours is not None:
        (tmp_path / "torch" / "lib" / ours.name).symlink_to(ours)
        openmp._pauses.cache_clear()
        assert len(openmp._pauses(folder)) == 1
        openmp._pauses.cache_clear()
