"""Tensors as the Open Inference Protocol (V2) sends them: in JSON, or as bytes after it.

Protocol: https://github.com/kserve/open-inference-protocol; its binary extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from core.export.ports import Port
from core.serving.reasons import INFER
from core.text.quoting import quoted, shortened

# Type of PyTorch, as manifests name it → of the protocol, and of NumPy, little-endian. bfloat16 has none of NumPy's.
DATATYPES: Mapping[str, tuple[str, str]] = {
    "bool": ("BOOL", "?"),
    "uint8": ("UINT8", "u1"),
    "uint16": ("UINT16", "<u2"),
    "uint32": ("UINT32", "<u4"),
    "uint64": ("UINT64", "<u8"),
    "int8": ("INT8", "i1"),
    "int16": ("INT16", "<i2"),
    "int32": ("INT32", "<i4"),
    "int64": ("INT64", "<i8"),
    "float16": ("FP16", "<f2"),
    "float32": ("FP32", "<f4"),
    "float64": ("FP64", "<f8"),
}
_BINARY_SIZE, _BINARY_OUTPUT, _BINARY = "binary_data_size", "binary_data_output", "binary_data"
# NumPy's kinds of a JSON list that a type takes: whole numbers also where fractions may be.
_TAKES = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}
_STRICT = ConfigDict(extra="forbid", strict=True)
_SIZE = Annotated[int, Field(ge=0, lt=2**63)]
_PARAMETERS = dict[str, bool | int | float | str]


@checked_dataclass(frozen=True, config=_STRICT)
class SentInput:
    """An input as it is sent; without data its bytes follow the JSON."""

    name: str
    shape: Annotated[list[_SIZE], Field(max_length=32)]
    datatype: str
    data: list[Any] | None = None
    parameters: _PARAMETERS = field(default_factory=dict)


@checked_dataclass(frozen=True, config=_STRICT)
class WantedOutput:
    """An output that is asked for."""

    name: str
    parameters: _PARAMETERS = field(default_factory=dict)


@checked_dataclass(frozen=True, config=_STRICT)
class InferRequest:
    """The JSON of a request."""

    inputs: list[SentInput]
    id: str | None = None
    outputs: list[WantedOutput] | None = None
    parameters: _PARAMETERS = field(default_factory=dict)


@checked_dataclass(frozen=True, config=_STRICT)
class IndexRequest:
    """The JSON of a request for the index. ready: whether models that are not ready are left out."""

    ready: bool = False


@dataclass(frozen=True)
class Wanted:
    """What an answer is to hold. outputs: name → whether as bytes, in the order asked for."""

    id: str | None
    outputs: Mapping[str, bool]


_T = TypeVar("_T")
_READER = TypeAdapter(InferRequest)
_INDEX_READER = TypeAdapter(IndexRequest)


def read_request(
    body: bytes, json_bytes: int | None, inputs: Sequence[Port], outputs: Sequence[Port]
) -> tuple[dict[str, NDArray], dict[str, list[int]], Wanted]:
    """Return the inputs of a request as flat arrays in the order of the ports, their shapes, and what is wanted.

    json_bytes: how much of the body is JSON, None: all. Counts and types are right then; shapes are as they were sent.
    Raises ServiceError: infer_…
    """
    end = len(body) if json_bytes is None else json_bytes
    if not 0 <= end <= len(body):
        raise INFER("infer_header_length", length=end, size=len(body))
    request = _parsed(_READER, body[:end])
    _known(request.parameters, (_BINARY_OUTPUT,), "the request")
    wanted = _wanted(request, outputs)
    sent = _by_name(request.inputs, inputs)
    binary = memoryview(body)[end:]
    sizes = [_binary_size(one) for one in request.inputs]
    if sum(size or 0 for size in sizes) != len(binary):
        raise INFER("infer_binary_left", size=len(binary), wanted=sum(size or 0 for size in sizes))
    arrays, start = {}, 0
    for one, size in zip(request.inputs, sizes, strict=True):
        arrays[one.name] = _array(one, sent[one.name], None if size is None else binary[start : start + size])
        start += size or 0
    shapes = {one.name: one.shape for one in request.inputs}
    return {port.name: arrays[port.name] for port in inputs}, shapes, wanted


def read_index(body: bytes) -> bool:
    """Return whether the index is to hold ready models alone. Raises ServiceError: infer_not_json, infer_field."""
    return _parsed(_INDEX_READER, body).ready if body else False


def written(
    name: str, version: str, arrays: Mapping[str, NDArray], wanted: Wanted, ports: Sequence[Port]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how much of it is JSON; None where all is.

    Raises ServiceError, infer_not_finite, for a value that JSON has no word for.
    """
    types = {port.name: DATATYPES[port.dtype] for port in ports}
    described, pieces = [], []
    for output, binary in wanted.outputs.items():
        array = np.ascontiguousarray(arrays[output], dtype=types[output][1])
        one: dict[str, Any] = {"name": output, "datatype": types[output][0], "shape": arrays[output].shape}
        if binary:
            one["parameters"] = {_BINARY_SIZE: array.nbytes}
            pieces.append(array.tobytes())
        else:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise INFER("infer_not_finite", name=output)
            one["data"] = array.reshape(-1).tolist()
        described.append(one)
    content: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if wanted.id is not None:
        content["id"] = wanted.id
    text = json.dumps(content).encode("ascii")
    return b"".join([text, *pieces]), len(text) if pieces else None


def extremes(array: NDArray) -> tuple[float, float]:
    """Return the smallest and largest value; NaN where one is."""
    with np.errstate(invalid="ignore"):
        return float(array.min()), float(array.max())


def _parsed(reader: TypeAdapter[_T], text: bytes) -> _T:
    try:
        return reader.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "json_invalid":
            raise INFER("infer_not_json", why=first["msg"].removeprefix("Invalid JSON: ")) from None
        raise INFER("infer_field", field=shortened(where or "the request"), why=first["msg"]) from None


def _known(parameters: _PARAMETERS, known: Sequence[str], where: str) -> None:
    for name in parameters:
        if name not in known:
            raise INFER("infer_parameter", where=where, name=quoted(name), known=" and ".join(known))


def _flag(parameters: _PARAMETERS, name: str, default: bool, where: str) -> bool:  # noqa: FBT001
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise INFER("infer_parameter_type", where=where, name=name, wanted="true or false")
    return value


def _wanted(request: InferRequest, ports: Sequence[Port]) -> Wanted:
    binary = _flag(request.parameters, _BINARY_OUTPUT, False, "the request")  # noqa: FBT003
    names = [port.name for port in ports]
    if not request.outputs:
        return Wanted(request.id, dict.fromkeys(names, binary))
    outputs: dict[str, bool] = {}
    for one in request.outputs:
        if one.name not in names:
            raise INFER("infer_output_unknown", name=quoted(one.name), known=", ".join(names))
        if one.name in outputs:
            raise INFER("infer_twice", what="output", name=one.name)
        where = f"output {one.name}"
        _known(one.parameters, (_BINARY,), where)
        outputs[one.name] = _flag(one.parameters, _BINARY, binary, where)
    return Wanted(request.id, outputs)


def _by_name(sent: Sequence[SentInput], ports: Sequence[Port]) -> dict[str, Port]:
    """Return the port of each input that was sent; all have to be there, once."""
    known = {port.name: port for port in ports}
    found: dict[str, Port] = {}
    for one in sent:
        if one.name not in known:
            raise INFER("infer_input_unknown", name=quoted(one.name), known=", ".join(known))
        if one.name in found:
            raise INFER("infer_twice", what="input", name=one.name)
        port = found[one.name] = known[one.name]
        datatype = DATATYPES[port.dtype][0]
        if one.datatype != datatype:
            raise INFER("infer_datatype", name=one.name, given=quoted(one.datatype), wanted=datatype)
        _known(one.parameters, (_BINARY_SIZE,), f"input {one.name}")
    missing = [name for name in known if name not in found]
    if missing:
        raise INFER("infer_input_missing", names=", ".join(missing))
    return found


def _binary_size(one: SentInput) -> int | None:
    """Return how many bytes of an input follow the JSON; None where its data stand in it."""
    size = one.parameters.get(_BINARY_SIZE)
    if (size is None) == (one.data is None):
        raise INFER("infer_data_once", name=one.name)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
        raise INFER(
            "infer_parameter_type", where=f"input {one.name}", name=_BINARY_SIZE, wanted="a number of bytes"
        )
    return size


def _array(one: SentInput, port: Port, binary: memoryview | None) -> NDArray:
    """Return the values of an input, flat."""
    dtype = np.dtype(DATATYPES[port.dtype][1])
    count = math.prod(one.shape)
    if binary is None:
        return _of_json(one, dtype, count)
    if len(binary) != count * dtype.itemsize:
        raise INFER(
            "infer_binary_size",
            name=one.name,
            size=len(binary),
            wanted=count * dtype.itemsize,
            shape=shortened(str(one.shape)),
        )
    array = np.frombuffer(binary, dtype)
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise INFER("infer_data_type", name=one.name, datatype="BOOL")
    return array


def _of_json(one: SentInput, dtype: np.dtype, count: int) -> NDArray:
    datatype = one.datatype
    try:
        given = np.array(one.data)
    except (ValueError, OverflowError):  # lists of different lengths, or too deep
        raise INFER("infer_data_shape", name=one.name, shape=shortened(str(one.shape))) from None
    if given.ndim != 1 and list(given.shape) != one.shape:
        raise INFER("infer_data_shape", name=one.name, shape=shortened(str(one.shape)))
    if given.size != count:
        raise INFER(
            "infer_data_count", name=one.name, count=given.size, wanted=count, shape=shortened(str(one.shape))
        )
    if count == 0:
        return np.zeros(0, dtype)
    if given.dtype.kind not in _TAKES[dtype.kind]:
        raise INFER("infer_data_type", name=one.name, datatype=datatype)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if int(given.min()) < bounds.min or int(given.max()) > bounds.max:
            raise INFER("infer_data_type", name=one.name, datatype=datatype)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which no port takes
        return given.reshape(-1).astype(dtype)
