"""A model repository of NVIDIA's Triton server: ONNX with a configuration that names inputs, outputs and batching.

triton/<network>/config.pbtxt and triton/<network>/1/model.onnx. Source: "Model Repository" and "Model Configuration" of
Triton's user guide. A network whose rows are independent along the first axis of all inputs is batched by the server.
"""

from __future__ import annotations

from pathlib import Path

from core.export import to_onnx
from core.export.network import Network, Runner
from core.export.ports import Port
from core.runs.files import make_folder, write_text

TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "float64": "TYPE_FP64",
    "int64": "TYPE_INT64",
    "int32": "TYPE_INT32",
    "bool": "TYPE_BOOL",
}
_MOST_WAIT_US = 2000  # that the first request of a batch waits for others


def write(network: Network, path: Path) -> list[Path]:
    """Write the folder `path` of one model and return its files, the network first."""
    files = to_onnx.write(network, make_folder(path / "1") / "model")
    write_text(path / "config.pbtxt", configuration(network))
    return [*files, path / "config.pbtxt"]


def load(file: Path, threads: int | None) -> Runner:
    """Return the network as ONNX Runtime runs it, as in the server."""
    return to_onnx.load(file, threads)


def configuration(network: Network) -> str:
    """Return the model configuration, in protobuf's text form."""
    batched = _batched(network)
    most = network.axis(str(network.rows)).most if batched else 0
    lines = [
        f'name: "{network.name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {most}",
        *_ports("input", network.inputs, batched=batched),
        *_ports("output", network.outputs, batched=batched),
        "instance_group [ { count: 1, kind: KIND_AUTO } ]",
    ]
    if batched:
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {_MOST_WAIT_US} }}")
    return "\n".join(lines) + "\n"


def _batched(network: Network) -> bool:
    ports = (*network.inputs, *network.outputs)
    return (
        network.rows is not None
        and network.axis(network.rows).least == 1
        and all(port.dims[:1] == (network.rows,) for port in ports)
    )


def _ports(role: str, ports: tuple[Port, ...], *, batched: bool) -> list[str]:
    """Return the lines of inputs or outputs; the server adds the batch axis by itself."""
    lines = []
    for port in ports:
        own = port.dims[1 if batched else 0 :]
        dims = ", ".join(str(dim) if isinstance(dim, int) else "-1" for dim in own)
        # a request has at least one dimension; "Reshape" in the guide is the way to a network that wants none
        shape = f"dims: [ {dims} ]" if own else "dims: [ 1 ], reshape { shape: [ ] }"
        lines.append(f'{role} [ {{ name: "{port.name}", data_type: {TYPES[port.dtype]}, {shape} }} ]')
    return lines
