"""The model repository is laid out and configured as Triton's guide says."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from core.export.ports import Axis, Port
from core.export.to_triton import TYPES, configuration
from tests.core.export.exported import exported
from tests.core.export.networks import network
from tests.core.export.triton_schema import DATA_TYPES, ModelConfig


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


@pytest.mark.parametrize("rows", ["B", None])
def test_the_configuration_is_of_the_servers_schema(rows: str | None) -> None:
    config = text_format.Parse(configuration(network(rows=rows)), ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("blur", "onnxruntime", 8 if rows else 0)
    batch = [] if rows else [-1]
    assert [(one.name, one.data_type, list(one.dims)) for one in config.input] == [
        ("x", DATA_TYPES["TYPE_FP32"], [*batch, 1, -1, -1])
    ]
    assert [(one.name, one.data_type, list(one.dims)) for one in config.output] == [
        ("y", DATA_TYPES["TYPE_FP32"], [*batch, 2, -1, -1])
    ]
    assert [one.count for one in config.instance_group] == [1]
    assert config.HasField("dynamic_batching") == bool(rows)


def test_a_number_for_each_row_is_a_vector_of_one() -> None:
    scores = network(outputs=(Port("score", ("B",)),))
    config = text_format.Parse(configuration(scores), ModelConfig())
    (output,) = config.output
    assert list(output.dims) == [1]
    assert output.HasField("reshape")
    assert list(output.reshape.shape) == []


def test_what_the_schema_lacks_is_noticed() -> None:
    with pytest.raises(text_format.ParseError):
        text_format.Parse(configuration(network()).replace("max_batch_size", "max_batch"), ModelConfig())
    assert set(TYPES.values()) <= DATA_TYPES.keys()
