"""The threads that PyTorch computes on: one for work whose last bits count, or none left waiting (OpenMP).

Each thread that runs one of PyTorch's parallel loops has workers of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")
U = TypeVar("U")

_SOFT = 1  # omp_pause_soft: settings stay (OpenMP 5.0, section 3.2.44)


def release_workers() -> None:
    """End the idle workers of the calling thread; its next parallel loop starts new ones.

    Whoever hands a network to another thread calls this first. As soon as there are more workers than processors, idle
    ones too, GNU's OpenMP lets them all sleep between loops, and each loop starts late: a U-Net took 139 ms instead of
    99 in a second thread, and 54 instead of 32 at a smaller batch (2 processors, PyTorch 2.13). Does nothing where
    PyTorch computes with another OpenMP.
    """
    for pause in _pauses(Path(torch.__file__).parent):
        pause(_SOFT)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let each operation of PyTorch take one thread, in this thread and in those of `one_thread_each`.

    An operation that is divided among threads rounds the values beside a cut otherwise (vector units leave the last few
    to scalar code), and where the cuts fall depends on how much else is computed with them: on one thread a row's last
    bits are its own.
    """
    before = torch.get_num_threads()
    if before == 1:  # nothing to change: another thread may rely on it
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spread(work: Callable[[T], U], parts: Iterable[T]) -> list[U]:
    """Return work(part) of each part, in order; each is computed on one thread (`one_thread`).

    As many at once as PyTorch has threads, so that cores are used by parts and never by one operation.
    """
    count, parts = torch.get_num_threads(), list(parts)
    with one_thread():
        if min(count, len(parts)) < 2:
            return [work(part) for part in parts]
        with one_thread_each(min(count, len(parts)), "spread") as pool:
            return list(pool.map(work, parts))


def one_thread_each(workers: int, name: str) -> ThreadPoolExecutor:
    """Return a pool of threads in each of which PyTorch's operations take one thread; within `one_thread`.

    A new thread begins with as many as the environment allows (OMP_NUM_THREADS), whatever was set in another one.
    """
    return ThreadPoolExecutor(workers, name, torch.set_num_threads, (1,))


@functools.cache
def _pauses(folder: Path) -> tuple[Callable[[int], int], ...]:
    """Return what releases workers, of each GNU OpenMP that PyTorch in this folder brings along."""
    paths = (*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*"))
    functions = [getattr(ctypes.CDLL(str(path)), "omp_pause_resource_all", None) for path in paths]
    return tuple(pause for pause in functions if pause is not None)
