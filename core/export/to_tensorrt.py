"""TensorRT: an engine for the kind of GPU that makes it, by way of ONNX; in single precision, without TF32.

Source: NVIDIA, TensorRT documentation, "Python API" and "Working with Dynamic Shapes".
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from core.export import to_onnx
from core.export.network import Network, Runner, Tensors
from core.export.ports import Port
from core.export.reasons import ARTIFACTS

Shape = tuple[int, ...]


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.plan and return it. Raises RuntimeError with TensorRT's first complaint."""
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    definition = builder.create_network(0)
    parser = tensorrt.OnnxParser(definition, logger)
    with tempfile.TemporaryDirectory() as folder:
        (onnx,) = to_onnx.write(network, Path(folder) / "network")
        if not parser.parse_from_file(str(onnx)):
            raise RuntimeError(str(parser.get_error(0)))
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for port in network.inputs:
        profile.set_shape(port.name, *shapes_of(network, port))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(definition, config)
    if engine is None:
        raise RuntimeError("TensorRT built no engine")
    file = path.with_suffix(".plan")
    file.write_bytes(bytes(engine))
    return [file]


def shapes_of(network: Network, port: Port) -> tuple[Shape, Shape, Shape]:
    """Return the smallest shape of an input, the one that it is tuned for, and the largest."""

    def shape(size: Any) -> Shape:
        return tuple(size(network.axis(dim)) if isinstance(dim, str) else dim for dim in port.dims)

    return (
        shape(lambda axis: axis.least),
        shape(lambda axis: network.sizes[0][axis.name]),
        shape(lambda axis: axis.most),
    )


def load(file: Path, _threads: int | None) -> Runner:
    """Return the engine as a callable that copies to the GPU and back. Raises InputError where there is no GPU."""
    if not torch.cuda.is_available():
        raise ARTIFACTS("artifact_gpu", file=file)
    import tensorrt

    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(file.read_bytes())
    if engine is None:
        raise ARTIFACTS("artifact_other_gpu", file=file)
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
    outputs = [name for name in names if name not in inputs]

    def run(*given: torch.Tensor) -> Tensors:
        held = [tensor.contiguous().cuda() for tensor in given]
        for name, tensor in zip(inputs, held, strict=False):
            context.set_input_shape(name, tuple(tensor.shape))
            context.set_tensor_address(name, tensor.data_ptr())
        results = [torch.empty(tuple(context.get_tensor_shape(name)), device="cuda") for name in outputs]
        for name, tensor in zip(outputs, results, strict=True):
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return tuple(tensor.cpu() for tensor in results)

    return run


def lacking() -> str | None:
    """Return what this machine lacks, None where it has a GPU."""
    return None if torch.cuda.is_available() else "this machine has no NVIDIA GPU"
