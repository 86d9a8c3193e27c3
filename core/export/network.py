"""What an app declares of a network that it exports: inputs, the axes that vary, samples, what it cannot become."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from core.export.ports import Axis, Port

Tensors = tuple[Tensor, ...]
# What a backend returns for an artifact that it has loaded: takes the inputs by position, on the CPU.
Runner = Callable[..., Tensors]


@dataclass(frozen=True, eq=False)
class Network:
    """A network and what an export has to know of it.

    module: in evaluation mode; takes the inputs by position and returns a tensor or a tuple of them.
    draw: sizes of the axes, generator → random inputs. real: yields inputs as they are in use. calibration: yields
    other such inputs, for quantisation. rows: axis along which one entry's result depends on no other; None where there
    is no such axis. sizes: of the axes, several cases that are checked, the first is the one exported with and timed.
    not_applicable: format → why that format cannot serve it. narrowed: format → axes and sizes that it is limited to.
    keep: parts of node names that quantisation leaves in f32. quantised: types of operations that alone are quantised,
    "MatMul"; all types where empty. attention: its activations are large in a few channels, as a transformer's are, and
    quantisation has to even them out. int8_error: layers return to f32, those first that cost most, until the error of
    8-bit integers is at most this, as root mean squares relative to the output's.
    """

    name: str
    about: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    axes: tuple[Axis, ...]
    sizes: tuple[Mapping[str, int], ...]
    draw: Callable[[Mapping[str, int], torch.Generator], Tensors]
    real: Callable[[], Iterator[Tensors]]
    calibration: Callable[[], Iterator[Tensors]] | None = None
    rows: str | None = None
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    narrowed: Mapping[str, tuple[tuple[Axis, ...], tuple[Mapping[str, int], ...]]] = field(
        default_factory=dict
    )
    keep: tuple[str, ...] = ()
    quantised: tuple[str, ...] = ()
    attention: bool = False
    int8_error: float | None = None

    def axis(self, name: str) -> Axis:
        """Return an axis by its name."""
        return next(axis for axis in self.axes if axis.name == name)

    def within(self, name: str) -> Network:
        """Return the network with the axes that a format is limited to."""
        if name not in self.narrowed:
            return self
        axes, sizes = self.narrowed[name]
        return replace(self, axes=axes, sizes=sizes)

    def example(self) -> Tensors:
        """Return the inputs that it is exported with: random, of the first sizes, the same in every call."""
        return self.draw(self.sizes[0], torch.Generator().manual_seed(0))

    def dynamic_shapes(self) -> tuple[dict[int, torch.export.Dim], ...]:
        """Return the axes of each input as `torch.export` takes them."""
        known: dict[str, torch.export.Dim] = {}
        for axis in self.axes:
            if axis.step == 1:
                known[axis.name] = torch.export.Dim(axis.name, min=axis.least, max=axis.most)
            else:
                steps = torch.export.Dim(
                    f"{axis.name}_{axis.step}", min=-(-axis.least // axis.step), max=axis.most // axis.step
                )
                known[axis.name] = axis.step * steps
        return tuple(
            {index: known[dim] for index, dim in enumerate(port.dims) if isinstance(dim, str)}
            for port in self.inputs
        )


def as_tuple(result: Tensor | Tensors) -> Tensors:
    """Return what a network returned as a tuple."""
    return (result,) if isinstance(result, Tensor) else tuple(result)
