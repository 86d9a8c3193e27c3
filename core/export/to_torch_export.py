"""PyTorch's exported program, saved: https://docs.pytorch.org/docs/stable/export.html."""

from __future__ import annotations

from pathlib import Path

import torch

from core.export.network import Network, Runner, Tensors, as_tuple
from core.export.program import program_of


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.pt2 and return it."""
    file = path.with_suffix(".pt2")
    torch.export.save(program_of(network), file)
    return [file]


def load(file: Path, _threads: int | None) -> Runner:
    """Return the program as a callable; it computes on PyTorch's own threads."""
    module = torch.export.load(file).module()

    def run(*inputs: torch.Tensor) -> Tensors:
        with torch.no_grad():
            return as_tuple(module(*inputs))

    return run
