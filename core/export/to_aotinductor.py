"""Compiled ahead of time by PyTorch's inductor for this processor; needs a C++ compiler.

The package runs on processors with the same instruction sets only, and with the PyTorch that made it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package

from core.export.network import Network, Runner, Tensors, as_tuple
from core.export.program import program_of


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.pt2 and return it."""
    file = path.with_suffix(".pt2")
    with torch.no_grad():
        aoti_compile_and_package(program_of(network), package_path=str(file))
    return [file]


def load(file: Path, _threads: int | None) -> Runner:
    """Return the package as a callable; it computes on PyTorch's own threads."""
    module = aoti_load_package(str(file))

    def run(*inputs: torch.Tensor) -> Tensors:
        with torch.no_grad():
            return as_tuple(module(*inputs))

    return run


def lacking() -> str | None:
    """Return what this machine lacks, None where it has a C++ compiler."""
    name = os.environ.get("CXX", "g++")
    return None if shutil.which(name) else f"there is no C++ compiler {name} here"
