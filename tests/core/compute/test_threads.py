from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus

from core.compute import threads

pytestmark = pytest.mark.slow

# Threads of the process: at first, with workers of a loop, without them, with new ones; and whether sums stay.
_COUNTED = """
import os, time, torch
from core.compute.threads import release_workers

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
    assert threads._pauses(folder) == (), "another OpenMP: nothing is done"
    ours = next(Path(torch.__file__).parent.glob("lib/libgomp*.so*"), None)
    if ours is not None:
        (tmp_path / "torch" / "lib" / ours.name).symlink_to(ours)
        threads._pauses.cache_clear()
        assert len(threads._pauses(folder)) == 1
        threads._pauses.cache_clear()


def test_work_is_spread_over_threads_each_computing_on_one() -> None:
    def work(number: int) -> tuple[int, int, str]:
        return number * number, torch.get_num_threads(), threading.current_thread().name

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        result = threads.spread(work, range(7))
        single = threads.spread(work, [5])
        after = torch.get_num_threads()
        with pytest.raises(ZeroDivisionError):
            threads.spread(lambda number: 1 / number, [1, 0])
        assert torch.get_num_threads() == after == 3
    finally:
        torch.set_num_threads(before)
    assert [square for square, _, _ in result] == [0, 1, 4, 9, 16, 25, 36]
    assert {count for _, count, _ in result + single} == {1}
    assert all(name.startswith("spread") for _, _, name in result)
    assert [name for _, _, name in single] == [threading.current_thread().name]


def test_a_value_is_rounded_alone_as_among_many() -> None:
    """Beside the cut between two threads this operation rounds otherwise; on one there is no cut."""
    values = torch.randn(100_008, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        [whole] = threads.spread(softplus, [values])
        parts = threads.spread(softplus, values.split(4096))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
