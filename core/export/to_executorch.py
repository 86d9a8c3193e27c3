"""ExecuTorch, for phones and small devices: XNNPACK computes what it can, portable kernels the rest.

It has no 3-D convolution at run time, so those are written as depth taps of 2-D ones first. Memory is planned for the
largest sizes of the axes: narrow them for this format (`Network.narrowed`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from core.export.depth_taps import in_planes
from core.export.network import Network, Runner, Tensors
from core.export.program import program_of


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.pte and return it."""
    from executorch.backends.xnnpack.partition.config import gemm_configs, generic_node_configs
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    if any(isinstance(module, nn.Conv3d) for module in network.module.modules()):
        network = replace(network, module=in_planes(network.module))
    # all that a network of convolutions needs but views, in which XNNPACK lets one size alone vary
    computed = [getattr(gemm_configs, name) for name in ("ConvolutionConfig", "LinearConfig", "AddmmConfig")]
    computed += [
        getattr(generic_node_configs, f"{name}Config")
        for name in ("Add", "ReLU", "ConstantPad", "Permute", "SliceCopy", "CloneDimOrder")
    ]
    lowered = to_edge_transform_and_lower(
        program_of(network), partitioner=[XnnpackPartitioner(configs=computed)]
    )
    file = path.with_suffix(".pte")
    with file.open("wb") as stream:
        lowered.to_executorch().write_to_file(stream)
    return [file]


def load(file: Path, threads: int | None) -> Runner:
    """Return the program's `forward` as a callable. threads: None takes as many as ExecuTorch finds cores."""
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    if threads is not None:
        _unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(file)
    method = program.load_method("forward")

    def run(*inputs: torch.Tensor) -> Tensors:
        # copied: the program writes its next results to the same memory
        return tuple(one.clone() for one in method.execute([one.contiguous() for one in inputs]))

    return run
