"""OpenVINO in single precision, by way of ONNX.

Straight from the exported program it lacks rules that ONNX has (Python's `%` on a size). The precision is always named:
by itself OpenVINO computes in bfloat16 where the processor can.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch

from core.export import to_onnx
from core.export.network import Network, Runner, Tensors

# OpenVINO and NNCF report every conversion to a web analytics service, from a child that they fork in a thread. Neither
# belongs in a hospital or a bank, and a fork of a process with threads may end it; without this package they do not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.xml and `path`.bin and return them, the .xml first."""
    return save(converted(network), path, half=False)


def load(file: Path, threads: int | None) -> Runner:
    """Return the compiled model as a callable, computing in single precision."""
    return compiled(file, threads, "f32")


def converted(network: Network) -> Any:
    """Return a network as an OpenVINO model."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        (file,) = to_onnx.write(network, Path(folder) / "network")
        return openvino.convert_model(file)


def save(model: Any, path: Path, *, half: bool) -> list[Path]:
    """Write an OpenVINO model; half: its weights in float16."""
    import openvino

    file = path.with_suffix(".xml")
    openvino.save_model(model, file, compress_to_fp16=half)
    return [file, file.with_suffix(".bin")]


def compiled(model: Any, threads: int | None, precision: str) -> Runner:
    """Return a compiled model as a callable, which several threads may call at once.

    model: of OpenVINO, or its .xml file. threads: of one call; None takes as many as there are cores, and calls wait
    for each other.
    """
    import openvino

    # as many calls at once as there are cores for
    streams = 1 if threads is None else max(len(os.sched_getaffinity(0)) // threads, 1)
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": streams,
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads * streams
    model = openvino.Core().compile_model(model, "CPU", options)
    own = threading.local()
    count = len(model.inputs)

    def run(*inputs: torch.Tensor) -> Tensors:
        if not hasattr(own, "request"):
            own.request = model.create_infer_request()
        given = [tensor.contiguous().numpy() for tensor in inputs[:count]]
        result = own.request.infer(given, share_inputs=True)
        # copied: the request writes its next results to the same memory
        return tuple(torch.from_numpy(result[port].copy()) for port in model.outputs)

    return run
