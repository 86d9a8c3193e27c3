"""What an exported network takes: one set of rules for tensors here and for arrays that come over a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.export.manifest import Artifact
from core.export.ports import Port
from core.export.reasons import INPUTS


@dataclass(frozen=True)
class Given:
    """An input. dtype: of PyTorch, as text. extremes: → smallest and largest value; NaN where one is NaN."""

    dtype: str
    shape: Sequence[int]
    extremes: Callable[[], tuple[float, float]]


def require_valid(artifact: Artifact, inputs: Sequence[Given]) -> None:
    """Raise InputError for inputs that a network does not take.

    predict_count, predict_type, predict_rank, predict_size, predict_differs, predict_not_finite, predict_range.
    """
    network, ports = artifact.network, artifact.inputs
    if len(inputs) != len(ports):
        names = ", ".join(port.name for port in ports)
        raise INPUTS("predict_count", network=network, wanted=len(ports), names=names, count=len(inputs))
    sizes: dict[str, int] = {}
    for port, given in zip(ports, inputs, strict=True):
        _require_shape(artifact, port, given, sizes)
        _require_values(network, port, given)


def _require_shape(artifact: Artifact, port: Port, given: Given, sizes: dict[str, int]) -> None:
    network = artifact.network
    if given.dtype != port.dtype:
        raise INPUTS("predict_type", network=network, name=port.name, given=given.dtype, wanted=port.dtype)
    if len(given.shape) != len(port.dims):
        raise INPUTS(
            "predict_rank",
            network=network,
            name=port.name,
            given=len(given.shape),
            wanted=len(port.dims),
            dims=", ".join(map(str, port.dims)),
        )
    axes = {axis.name: axis for axis in artifact.axes}
    for index, (dim, size) in enumerate(zip(port.dims, given.shape, strict=True)):
        if isinstance(dim, int):
            allowed, fits = str(dim), size == dim
        else:
            allowed, fits = axes[dim].allowed(), axes[dim].allows(size)
        if not fits:
            raise INPUTS(
                "predict_size",
                network=network,
                name=port.name,
                given=size,
                axis=dim if isinstance(dim, str) else f"dimension {index}",
                allowed=allowed,
            )
        if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
            raise INPUTS(
                "predict_differs", network=network, axis=dim, first=sizes[dim], second=size, name=port.name
            )


def _require_values(network: str, port: Port, given: Given) -> None:
    if 0 in given.shape or given.dtype == "bool":
        return
    # one pass finds both: NaN and infinity come through the extremes
    low, high = given.extremes()
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise INPUTS("predict_not_finite", network=network, name=port.name)
    least, most = port.low, port.high
    if (least is not None and low < least) or (most is not None and high > most):
        bounds = " to ".join("any" if bound is None else f"{bound:g}" for bound in (least, most))
        raise INPUTS("predict_range", network=network, name=port.name, low=low, high=high, allowed=bounds)
