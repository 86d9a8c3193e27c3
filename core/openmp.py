"""Workers of PyTorch's parallel loops (OpenMP); each thread that runs one has workers of its own."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import torch

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


@functools.cache
def _pauses(folder: Path) -> tuple[Callable[[int], int], ...]:
    """Return what releases workers, of each GNU OpenMP that PyTorch in this folder brings along."""
    paths = (*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*"))
    found = [getattr(ctypes.CDLL(str(path)), "omp_pause_resource_all", None) for path in paths]
    return tuple(pause for pause in found if pause is not None)
