"""ONNX by PyTorch's exporter of exported programs; ONNX Runtime runs it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from core.export.network import Network, Runner, Tensors
from core.export.program import program_of

_ERROR = 3  # ONNX Runtime's level: warnings of its optimiser are not for users


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.onnx, weights inside, and return it."""
    file = path.with_suffix(".onnx")
    _converted(network).save(str(file), external_data=False)
    return [file]


@functools.lru_cache(maxsize=1)
def _converted(network: Network) -> torch.onnx.ONNXProgram:
    """Return a network as ONNX; kept, since formats that follow are made from it too."""
    made = torch.onnx.export(
        program_of(network),
        dynamo=True,
        input_names=[port.name for port in network.inputs],
        output_names=[port.name for port in network.outputs],
        verbose=False,
    )
    assert made is not None  # as it always is with dynamo=True
    return made


def load(file: Path, threads: int | None) -> Runner:
    """Return a session of ONNX Runtime as a callable. threads: None takes as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR
    options.inter_op_num_threads = 1
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def run(*inputs: torch.Tensor) -> Tensors:
        # an input that the exporter proved unused is no longer there
        given = {name: tensor.contiguous().numpy() for name, tensor in zip(names, inputs, strict=False)}
        return tuple(torch.from_numpy(np.ascontiguousarray(one)) for one in session.run(None, given))

    return run
