"""The model repository is laid out and configured as Triton's guide says."""

from __future__ import annotations

from core.export.network import Axis
from core.export.to_triton import configuration
from tests.core.export.exported import exported
from tests.core.export.networks import network


def test_the_folder_is_a_model_repository() -> None:
    folder = exported() / "triton"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["blur/1/model.onnx", "blur/config.pbtxt"]


def test_a_batch_of_independent_rows_is_the_servers() -> None:
    assert configuration(network()).splitlines() == [
        'name: "blur"',
        'backend: "onnxruntime"',
        "max_batch_size: 8",
        'input [ { name: "x", data_type: TYPE_FP32, dims: [ 1, -1, -1 ] } ]',
        'output [ { name: "y", data_type: TYPE_FP32, dims: [ 2, -1, -1 ] } ]',
        "instance_group [ { count: 1, kind: KIND_AUTO } ]",
        "dynamic_batching { max_queue_delay_microseconds: 2000 }",
    ]


def test_without_such_rows_it_names_all_dimensions() -> None:
    pairs = network(axes=(Axis("B", 2, 8), *network().axes[1:]))
    assert "max_batch_size: 0" in configuration(pairs)
    assert "dims: [ -1, 1, -1, -1 ]" in configuration(pairs)
    assert "dynamic_batching" not in configuration(network(rows=None))
