"""The table of export formats: what each is called, what it needs, and how exact it has to be.

Each format is one module with two functions: `write(network, folder) -> files` and `load(folder, files, threads)`,
which returns a callable that takes and returns tuples of tensors.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from core.export.reasons import OPTIONS
from core.text.nearest import did_you_mean

TORCHSERVE = "torchserve"  # the format that packs all networks of an app
AUTO = "auto"  # as a runtime: the fastest format
EXACT = 1e-4  # largest error of a format in single precision, relative to the largest value of the output


@dataclass(frozen=True)
class Format:
    """One format.

    module: below core.export. tolerance: largest error against eager, relative to the largest value of the output.
    package: what has to be importable; extra: of this project, which installs it. compiled: whether it holds machine
    code of the processor that made it. runtime: whether the apps offer to run on it.
    """

    name: str
    about: str
    module: str
    tolerance: float = EXACT
    package: str | None = None
    extra: str = ""
    compiled: bool = False
    runtime: bool = True
    precision: str = "f32"


_ALL = (
    Format("torch_export", "PyTorch's exported program (.pt2), for Python", "to_torch_export"),
    Format("torchscript", "TorchScript, frozen (.pt), for C++ without Python", "to_torchscript"),
    Format(
        "aotinductor",
        "compiled by PyTorch for this processor (.pt2), for C++",
        "to_aotinductor",
        compiled=True,
    ),
    Format("onnx", "ONNX, run by ONNX Runtime", "to_onnx", package="onnxruntime", extra="onnx"),
    Format("openvino", "OpenVINO in single precision", "to_openvino", package="openvino", extra="openvino"),
    Format(
        "openvino_bf16",
        "OpenVINO that computes in bfloat16 where the processor can",
        "to_openvino_bf16",
        tolerance=0.03,
        package="openvino",
        extra="openvino",
        precision="bf16",
    ),
    Format(
        "openvino_int8",
        "OpenVINO in 8-bit integers, quantised by NNCF",
        "to_openvino_int8",
        tolerance=0.1,
        package="nncf",
        extra="openvino",
        precision="int8",
    ),
    Format(
        "tensorrt",
        "TensorRT (.plan), for the kind of NVIDIA GPU that exported it",
        "to_tensorrt",
        package="tensorrt",
        extra="tensorrt",
    ),
    Format(
        "executorch",
        "ExecuTorch (.pte), for phones and small devices",
        "to_executorch",
        package="executorch",
        extra="executorch",
        runtime=False,
    ),
    Format(
        TORCHSERVE,
        "an archive for TorchServe (.mar), of all networks with the application's handler",
        "to_torchserve",
        runtime=False,
    ),
    Format(
        "triton",
        "a model repository of NVIDIA's Triton server, by ONNX Runtime",
        "to_triton",
        package="onnxruntime",
        extra="onnx",
        runtime=False,
    ),
)
FORMATS = {one.name: one for one in _ALL}
RUNTIMES = tuple(one.name for one in _ALL if one.runtime)


def chosen(names: Sequence[str]) -> list[Format]:
    """Return formats by name, in the order of the table; raises ConfigError for a wrong name, or none at all."""
    known = ", ".join(FORMATS)
    if not names:
        raise OPTIONS("formats_empty", known=known)
    for name in names:
        if name not in FORMATS:
            raise OPTIONS("formats_unknown", name=name, similar=did_you_mean(name, FORMATS), known=known)
        if names.count(name) > 1:
            raise OPTIONS("formats_twice", name=name)
    return [one for one in FORMATS.values() if one.name in names]


def installed() -> list[Format]:
    """Return the formats whose package is there."""
    return [one for one in FORMATS.values() if one.package is None or find_spec(one.package) is not None]


def backend_of(one: Format) -> ModuleType:
    """Return the module of a format; raises ConfigError, backend_missing, where its package is not installed."""
    if one.package is not None and find_spec(one.package) is None:
        raise OPTIONS("backend_missing", name=one.name, package=one.package, extra=one.extra)
    return importlib.import_module(f"core.export.{one.module}")
