from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.export.ports import Port
from core.serving.service_error import ServiceError
from core.serving.tensors import DATATYPES, Wanted, extremes, read_index, read_request, written

PORTS = [Port("x", ("B", 2)), Port("n", ("B",), "uint8")]
OUTPUTS = [Port("y", ("B",)), Port("m", ("B",), "bool")]
X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}
N = {"name": "n", "shape": [1], "datatype": "UINT8", "data": [255]}


def read(content: Any, binary: bytes = b"", json_bytes: int | None = None) -> Any:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    if binary and json_bytes is None:
        json_bytes = len(text)
    return read_request(text + binary, json_bytes, PORTS, OUTPUTS)


def test_inputs_come_in_the_order_of_the_ports_with_their_types() -> None:
    arrays, shapes, wanted = read({"inputs": [N, X]})
    assert list(arrays) == ["x", "n"]
    assert (arrays["x"].dtype, arrays["x"].tolist()) == (np.dtype("f4"), [1, 2.5])
    assert (arrays["n"].dtype, arrays["n"].tolist()) == (np.dtype("u1"), [255])
    assert shapes == {"x": [1, 2], "n": [1]}
    assert wanted == Wanted(None, {"y": False, "m": False})


def test_nested_data_count_as_flat_ones() -> None:
    arrays, _, _ = read({"inputs": [{**X, "shape": [2, 2], "data": [[1, 2], [3, 4]]}, N]})
    assert arrays["x"].tolist() == [1, 2, 3, 4]


def test_bytes_after_the_json_are_those_of_the_inputs_that_name_them() -> None:
    x = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
    n = {"name": "n", "shape": [3], "datatype": "UINT8", "parameters": {"binary_data_size": 3}}
    binary = b"\x01\x02\xff" + np.arange(4, dtype="<f4").tobytes()
    arrays, _, _ = read({"inputs": [n, x]}, binary)
    assert arrays["x"].tolist() == [0, 1, 2, 3]
    assert arrays["n"].tolist() == [1, 2, 255]


@pytest.mark.parametrize(
    ("more", "outputs"),
    [
        ({"parameters": {"binary_data_output": True}}, {"y": True, "m": True}),
        (
            {"outputs": [{"name": "m"}, {"name": "y", "parameters": {"binary_data": True}}]},
            {"m": False, "y": True},
        ),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
            },
            {"y": False},
        ),
        ({"outputs": []}, {"y": False, "m": False}),
    ],
)
def test_outputs_come_as_they_are_asked_for(more: dict[str, Any], outputs: dict[str, bool]) -> None:
    wanted = read({"inputs": [X, N], "id": "7", **more})[2]
    assert wanted == Wanted("7", outputs)
    assert list(wanted.outputs) == list(outputs)


BINARY_X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
WRONG: list[tuple[Any, bytes, str, str]] = [
    (b"{", b"", "infer_not_json", "EOF while parsing"),
    (b"\xff\xfe", b"", "infer_not_json", ""),
    (b"[" * 100_000, b"", "infer_not_json", "recursion limit"),
    (b'{"inputs": [' + b"1" * 5000 + b"]}", b"", "infer_not_json", ""),
    ([], b"", "infer_field", ""),
    ({}, b"", "infer_field", "inputs: "),
    ({"inputs": [X, N], "inputz": 1}, b"", "infer_field", "inputz: "),
    ({"inputs": [X, {**N, "shape": [-1]}]}, b"", "infer_field", "inputs.1.shape.0: "),
    ({"inputs": [X, {**N, "shape": [1] * 40}]}, b"", "infer_field", "inputs.1.shape: "),
    ({"inputs": [X, {**N, "shape": ["1"]}]}, b"", "infer_field", "inputs.1.shape.0: "),
    ({"inputs": [X, {**N, "shape": [2**63]}]}, b"", "infer_field", "inputs.1.shape.0: "),
    ({"inputs": [X, {**N, "data": 5}]}, b"", "infer_field", "inputs.1.data: "),
    ({"inputs": [X, N], "id": 7}, b"", "infer_field", "id: "),
    ({"inputs": [X, N], "parameters": {"sequence_id": 1}}, b"", "infer_parameter", '"sequence_id"'),
    (
        {"inputs": [X, N], "parameters": {"binary_data_output": 1}},
        b"",
        "infer_parameter_type",
        "true or false",
    ),
    ({"inputs": [X]}, b"", "infer_input_missing", "inputs lacks n"),
    ({"inputs": [X, X, N]}, b"", "infer_twice", "input x is named twice"),
    ({"inputs": [X, N, {**N, "name": "\ud800o"}]}, b"", "infer_not_json", ""),
    ({"inputs": [X, N, {**N, "name": "o"}]}, b"", "infer_input_unknown", 'no input "o"; there are x, n'),
    ({"inputs": [X, {**N, "datatype": "INT8"}]}, b"", "infer_datatype", '"INT8"; it takes UINT8'),
    ({"inputs": [X, {**N, "datatype": "BYTES"}]}, b"", "infer_datatype", "it takes UINT8"),
    (
        {"inputs": [X, {**N, "parameters": {"shared_memory_region": "a"}}]},
        b"",
        "infer_parameter",
        "shared_memory",
    ),
    ({"inputs": [X, {**N, "data": None}]}, b"", "infer_data_once", "n needs either data or"),
    ({"inputs": [{**X, **BINARY_X}, N]}, b"", "infer_data_once", "x needs either data or"),
    ({"inputs": [X, {**N, "data": [256]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [X, {**N, "data": [-1]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [X, {**N, "data": [1.5]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [X, {**N, "data": [2**70]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [X, {**N, "data": [True]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [X, {**N, "data": [None]}]}, b"", "infer_data_type", "not values of UINT8"),
    ({"inputs": [{**X, "data": [1, "2"]}, N]}, b"", "infer_data_type", "not values of FP32"),
    ({"inputs": [{**X, "data": [{}, 2]}, N]}, b"", "infer_data_type", "not values of FP32"),
    ({"inputs": [{**X, "data": [1, 2, 3]}, N]}, b"", "infer_data_count", "takes 2 values, and 3 are given"),
    ({"inputs": [{**X, "shape": [2**62, 2**62]}, N]}, b"", "infer_data_count", "and 2 are given"),
    (
        {"inputs": [{**X, "data": [[1], [2]]}, N]},
        b"",
        "infer_data_shape",
        "nested otherwise than the shape [1, 2]",
    ),
    ({"inputs": [{**X, "data": [[1, 2], [3]]}, N]}, b"", "infer_data_shape", "nested otherwise"),
    (
        {"inputs": [BINARY_X, N]},
        b"1234567",
        "infer_binary_left",
        "7 bytes follow the JSON, and its inputs name 8",
    ),
    ({"inputs": [BINARY_X, N]}, b"123456789", "infer_binary_left", "9 bytes follow"),
    ({"inputs": [X, N]}, b"1", "infer_binary_left", "1 bytes follow the JSON, and its inputs name 0"),
    (
        {"inputs": [{**BINARY_X, "shape": [2, 2]}, N]},
        b"12345678",
        "infer_binary_size",
        "takes 16 bytes, and 8 are",
    ),
    (
        {"inputs": [{**BINARY_X, "parameters": {"binary_data_size": -8}}, N]},
        b"",
        "infer_parameter_type",
        "input x: binary_data_size is a number of bytes",
    ),
    ({"inputs": [X, N], "outputs": [{"name": "z"}]}, b"", "infer_output_unknown", '"z"; there are y, m'),
    ({"inputs": [X, N], "outputs": [{"name": "y"}] * 2}, b"", "infer_twice", "output y is named twice"),
    (
        {"inputs": [X, N], "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
        b"",
        "infer_parameter",
        'output y has no parameter "classification"',
    ),
]


@pytest.mark.parametrize(("content", "binary", "code", "sentence"), WRONG)
def test_what_cannot_be_read_is_refused_with_the_field(
    content: Any, binary: bytes, code: str, sentence: str
) -> None:
    with pytest.raises(ServiceError) as raised:
        read(content, binary)
    assert (raised.value.status, raised.value.code) == (400, code)
    assert sentence in raised.value.sentence
    assert len(raised.value.sentence) < 250
    assert raised.value.sentence.isprintable()


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
_FIELDS = ("name", "shape", "datatype", "data", "parameters", "outputs", "inputs", "id")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_a_request_is_taken_or_refused(data: st.DataObject) -> None:
    content: dict[str, Any] = {
        "inputs": [dict(X), dict(N)],
        "id": "1",
        "parameters": {},
        "outputs": [{"name": "y"}],
    }
    for _ in range(data.draw(st.integers(1, 3))):
        target = data.draw(st.sampled_from([content, *content["inputs"]]))
        target[data.draw(st.sampled_from(_FIELDS))] = data.draw(_VALUES)
        if not isinstance(content["inputs"], list) or not all(
            isinstance(one, dict) for one in content["inputs"]
        ):
            break
    text = json.dumps(content).encode()
    binary = data.draw(st.binary(max_size=12))
    json_bytes = data.draw(st.none() | st.just(len(text)))
    refused = None
    try:
        arrays, shapes, _ = read_request(text + binary, json_bytes, PORTS, OUTPUTS)
    except ServiceError as error:
        refused = error
    if refused is None:
        assert all(arrays[port.name].size == np.prod(shapes[port.name], dtype=object) for port in PORTS)
    else:
        assert refused.status == 400
        assert refused.sentence.isprintable()


@pytest.mark.parametrize("length", [-1, 500])
def test_more_json_than_body_is_refused(length: int) -> None:
    with pytest.raises(ServiceError, match="Inference-Header-Content-Length is"):
        read({"inputs": [X, N]}, b"", length)


def test_what_no_number_of_the_type_can_hold_becomes_infinite_for_the_rule_of_values() -> None:
    arrays, _, _ = read({"inputs": [{**X, "data": [1e300, -1e300]}, N]})
    assert extremes(arrays["x"]) == (-np.inf, np.inf)
    assert np.isnan(extremes(np.array([1.0, np.nan]))[0])


def test_bytes_of_booleans_are_0_or_1() -> None:
    ports = [Port("b", (2,), "bool")]
    sent = {"name": "b", "shape": [2], "datatype": "BOOL", "parameters": {"binary_data_size": 2}}
    text = json.dumps({"inputs": [sent]}).encode()
    assert read_request(text + b"\x01\x00", len(text), ports, OUTPUTS)[0]["b"].tolist() == [True, False]
    with pytest.raises(ServiceError, match="not values of BOOL"):
        read_request(text + b"\x02\x00", len(text), ports, OUTPUTS)


@pytest.mark.parametrize(("dtype", "names"), DATATYPES.items())
def test_each_type_is_written_and_read_again_in_both_forms(dtype: str, names: tuple[str, str]) -> None:
    ports = [Port("a", (3,), dtype)]
    values = np.array([0, 1, 1], names[1])
    for binary in (False, True):
        body, json_bytes = written("m", "1", {"a": values}, Wanted("i", {"a": binary}), ports)
        content = json.loads(body[:json_bytes])
        assert {key: content[key] for key in ("id", "model_name", "model_version")} == {
            "id": "i",
            "model_name": "m",
            "model_version": "1",
        }
        (output,) = content["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("a", names[0], [3])
        assert (json_bytes is not None) == binary
        again = json.dumps({"inputs": [output]}).encode()
        rest = body[json_bytes:] if json_bytes is not None else b""
        arrays, _, _ = read_request(again + rest, len(again), ports, ports)
        assert arrays["a"].dtype == values.dtype
        np.testing.assert_array_equal(arrays["a"], values)


def test_values_that_json_lacks_are_refused_there_and_sent_as_bytes() -> None:
    arrays = {"y": np.array([np.nan, 1], "f4")}
    with pytest.raises(ServiceError, match="ask for it with binary_data"):
        written("m", "1", arrays, Wanted(None, {"y": False}), OUTPUTS)
    body, json_bytes = written("m", "1", arrays, Wanted(None, {"y": True}), OUTPUTS)
    np.testing.assert_array_equal(np.frombuffer(body[json_bytes:], "<f4"), arrays["y"])
    assert "id" not in json.loads(body[:json_bytes])


def test_the_index_may_be_asked_for_ready_models_alone() -> None:
    assert [read_index(body) for body in (b"", b"{}", b'{"ready": true}')] == [False, False, True]
    with pytest.raises(ServiceError, match="name_filter: "):
        read_index(b'{"name_filter": "a"}')
