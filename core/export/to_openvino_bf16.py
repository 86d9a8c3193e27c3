"""OpenVINO that computes in bfloat16; weights are stored in float16, half the size.

What follows the last matrix product or convolution OpenVINO keeps in single precision by itself. What lies before the
first one, such as the scaling of inputs, is kept in it here: bfloat16 holds three digits, and a balance of 10,000 that
moves by 20 would stand still. Marks on nodes ("precise" in the runtime information) do not do it: they are lost where
OpenVINO rewrites a division or a subtraction. So one file is run as two models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from core.export.network import Network, Runner, Tensors
from core.export.to_openvino import compiled, converted, save

_PRODUCTS = ("MatMul", "Convolution", "GroupConvolution")
_CROSSING = ("f32", "boolean")  # what is computed of values; whole numbers are sizes, which both models know


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.xml and `path`.bin and return them, the .xml first."""
    return save(converted(network), path, half=True)


def load(file: Path, threads: int | None) -> Runner:
    """Return the compiled model as a callable."""
    import openvino

    scaling, products = parted(openvino.Core().read_model(file))
    rest = compiled(products, threads, "bf16")
    if scaling is None:
        return rest
    first = compiled(scaling, threads, "f32")

    def run(*inputs: torch.Tensor) -> Tensors:
        return rest(*first(*inputs), *inputs)

    return run


def parted(model: Any) -> tuple[Any | None, Any]:
    """Return what a model computes of its inputs before the first product, and the rest of it.

    The rest takes what the first returns and after it the inputs. None where products come first.
    """
    import openvino
    from openvino import opset15

    before: set[str] = set()  # depends on an input, and on no product
    after: set[str] = set()
    cut: dict[
        tuple[str, int], tuple[Any, Any]
    ] = {}  # what crosses: its source, and the input that takes its place
    for op in model.get_ordered_ops():
        name, kind = op.get_friendly_name(), op.get_type_name()
        sources = [entry.get_source_output() for entry in op.inputs()]
        names = {source.get_node().get_friendly_name() for source in sources}
        if kind not in (*_PRODUCTS, "Result") and not names & after:
            if kind == "Parameter" or names & before:
                before.add(name)
            continue
        after.add(name)
        for entry, source in zip(op.inputs(), sources, strict=True):
            node = source.get_node()
            if (
                node.get_friendly_name() not in before
                or node.get_type_name() == "Parameter"
                or source.get_element_type().get_type_name() not in _CROSSING
            ):
                continue
            key = (node.get_friendly_name(), source.get_index())
            if key not in cut:
                shape, dtype = source.get_partial_shape(), source.get_element_type()
                cut[key] = (source, opset15.parameter(shape, dtype))
            entry.replace_source_output(cut[key][1].output(0))
    if not cut:
        return None, model
    inputs = model.get_parameters()
    scaling = openvino.Model([opset15.result(source) for source, _ in cut.values()], inputs)
    return scaling, openvino.Model(model.get_results(), [*(entry for _, entry in cut.values()), *inputs])


def lacking() -> str | None:
    """Return what this processor lacks, None where it computes in bfloat16."""
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return None if "BF16" in able else "this processor has no bfloat16 instructions (avx512_bf16 or amx_bf16)"
