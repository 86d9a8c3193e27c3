"""The ONNX file is whole, and names what goes in and out."""

from __future__ import annotations

import onnx

from tests.core.export.exported import exported


def test_names_and_axes_are_those_of_the_declaration() -> None:
    folder = exported() / "onnx"
    assert [path.name for path in folder.iterdir()] == ["blur.onnx"]
    graph = onnx.load(folder / "blur.onnx").graph
    assert [port.name for port in graph.input] == ["x"]
    assert [port.name for port in graph.output] == ["y"]
    batch, channels, *_ = graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param
    assert channels.dim_value == 1
