"""A network as PyTorch's exported program, which most formats are made from; made once for all of them."""

from __future__ import annotations

import functools

import torch

from core.export.network import Network


@functools.lru_cache(maxsize=2)
def program_of(network: Network) -> torch.export.ExportedProgram:
    """Return the exported program of a network, its axes dynamic. Raises what `torch.export.export` raises."""
    with torch.no_grad():
        return torch.export.export(
            network.module, network.example(), dynamic_shapes=network.dynamic_shapes(), strict=False
        )
