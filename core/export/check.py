"""Run an artifact beside the network that it was made from: largest error, time, whether rows depend on their batch."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from core.compute.threads import one_thread
from core.export.manifest import Case
from core.export.network import Network, Runner, Tensors, as_tuple

TURNS = 7
REAL_SAMPLES = 4
_SEED = 1  # not that of the example: a value frozen in the export would go unseen


@dataclass(frozen=True)
class Checked:
    """What the comparison showed.

    milliseconds, eager_milliseconds: medians of turns side by side, each on one thread, at the first sizes.
    rows_independent: whether a row's bytes stayed the same in other company; None for a network without such an axis.
    """

    cases: tuple[Case, ...]
    milliseconds: float
    eager_milliseconds: float
    rows_independent: bool | None

    @property
    def error(self) -> float:
        """The largest error of all cases."""
        return max(case.error for case in self.cases)

    @property
    def ratio(self) -> float:
        """How many times as fast as eager."""
        return self.eager_milliseconds / self.milliseconds


def check(network: Network, runner: Runner, turns: int = TURNS) -> Checked:
    """Compare on random inputs of all `network.sizes` and on real ones, then time both."""
    cases = tuple(
        Case(kind, sizes, error_of(as_tuple(_eager(network, inputs)), runner(*inputs)))
        for kind, sizes, inputs in _cases(network)
    )
    eager, own = _times(network, runner, turns)
    return Checked(cases, own, eager, _rows_independent(network, runner))


def error_of(expected: Tensors, given: Tensors) -> float:
    """Return the largest difference of any output, relative to that output's largest value; infinite for other shapes.

    Infinity and NaN count as equal only where both have them.
    """
    if len(expected) != len(given):
        return math.inf
    return max(
        (_error(one.float(), other.float()) for one, other in zip(expected, given, strict=True)), default=0.0
    )


def _error(expected: torch.Tensor, given: torch.Tensor) -> float:
    if expected.shape != given.shape:
        return math.inf
    finite = expected.isfinite()
    if not torch.equal(finite, given.isfinite()) or not torch.equal(
        expected[~finite].nan_to_num(), given[~finite].nan_to_num()
    ):
        return math.inf
    if not finite.any():
        return 0.0
    largest = float(expected[finite].abs().max())
    difference = float((expected[finite] - given[finite]).abs().max())
    return difference / largest if largest else difference


def _eager(network: Network, inputs: Tensors) -> Tensors:
    with torch.no_grad():
        return as_tuple(network.module(*inputs))


def _cases(network: Network) -> Iterator[tuple[str, dict[str, int], Tensors]]:
    for number, sizes in enumerate(network.sizes):
        yield "random", dict(sizes), network.draw(sizes, torch.Generator().manual_seed(_SEED + number))
    for inputs in itertools.islice(network.real(), REAL_SAMPLES):
        sizes_here = sizes_of(network, inputs)
        # a format may be limited to smaller ones
        if all(network.axis(name).allows(size) for name, size in sizes_here.items()):
            yield "real", sizes_here, inputs


def sizes_of(network: Network, inputs: Tensors) -> dict[str, int]:
    """Return the sizes of the axes that inputs have."""
    return {
        dim: tensor.shape[index]
        for port, tensor in zip(network.inputs, inputs, strict=True)
        for index, dim in enumerate(port.dims)
        if isinstance(dim, str)
    }


def _times(network: Network, runner: Runner, turns: int) -> tuple[float, float]:
    """Return medians in ms of eager and of the runner, which take turns so that both see the same load."""
    inputs = network.example()
    eager, own = [], []
    with one_thread():
        _eager(network, inputs)
        runner(*inputs)
        for _ in range(turns):
            began = time.perf_counter()
            _eager(network, inputs)
            between = time.perf_counter()
            runner(*inputs)
            own.append(time.perf_counter() - between)
            eager.append(between - began)
    return statistics.median(eager) * 1e3, statistics.median(own) * 1e3


def _rows_independent(network: Network, runner: Runner) -> bool | None:
    """Compare rows of a batch with the same rows alone and in another order, byte for byte."""
    if network.rows is None:
        return None
    axis = network.axis(network.rows)
    sizes: Mapping[str, int] = {**network.sizes[0], axis.name: min(axis.most, max(axis.least + 3, 5))}
    inputs = network.draw(sizes, torch.Generator().manual_seed(_SEED))
    count = sizes[axis.name]
    whole = runner(*inputs)
    for chosen in (range(axis.least), range(count - axis.least, count), range(count - 1, -1, -1)):
        rows = torch.tensor(list(chosen))
        part = runner(*_rows(network, inputs, rows))
        if not all(torch.equal(one[rows], other) for one, other in zip(whole, part, strict=True)):
            return False
    return True


def _rows(network: Network, inputs: Tensors, rows: torch.Tensor) -> Tensors:
    return tuple(
        tensor.index_select(port.dims.index(network.rows), rows) if network.rows in port.dims else tensor
        for port, tensor in zip(network.inputs, inputs, strict=True)
    )
