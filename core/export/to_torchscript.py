"""TorchScript by tracing, frozen: what libtorch in C++ loads.

PyTorch calls TorchScript deprecated since 2.9, and still loads and runs it.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from core.export.network import Network, Runner, Tensors, as_tuple


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.pt and return it."""
    file = path.with_suffix(".pt")
    with torch.no_grad():
        traced = torch.jit.trace(network.module, network.example(), check_trace=False)
        torch.jit.freeze(traced).save(str(file))
    return [file]


def load(file: Path, _threads: int | None) -> Runner:
    """Return the script as a callable; it computes on PyTorch's own threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)
        module = torch.jit.load(str(file), map_location="cpu")

    def run(*inputs: torch.Tensor) -> Tensors:
        with torch.no_grad():
            return as_tuple(module(*inputs))

    return run
