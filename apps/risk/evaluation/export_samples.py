"""Inputs of exported networks: those that a model passes to them when it is asked, and random ones.

Legend: B rows, or groups of rows, along the first axis of each input.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from apps.risk.models.exported import Networks
from apps.risk.models.transformer import Kind
from core.compute.threads import one_thread
from core.export.network import Network, Tensors
from core.export.ports import Port

SAMPLES = 64  # of calibration, about
_SEED = 100  # of the random ones; those of core.export.check are others
DRAWN = 24  # random inputs of calibration
SPREADS = 3.0  # that random series lie from 0, about: a file takes them in any unit


def with_samples(
    networks: Sequence[Network],
    judge: Callable[[Networks], object],
    earlier: Callable[[Networks], object],
) -> tuple[Network, ...]:
    """Return the networks with what a model passes to them: real inputs of judge, calibration of earlier.

    Some random inputs calibrate too: what one table never holds would be cut off else, 18 % of an event's log-odds.
    """

    @functools.cache
    def of(ask: Callable[[Networks], object]) -> Mapping[str, Tensors]:
        return recorded(networks, ask)

    def real(name: str) -> Iterator[Tensors]:
        return pieces(of(judge)[name])

    def calibration(network: Network) -> Iterator[Tensors]:
        yield from pieces(of(earlier)[network.name])
        for seed in range(DRAWN):
            yield network.draw(network.sizes[-1], torch.Generator().manual_seed(_SEED + seed))

    return tuple(
        replace(
            network,
            real=functools.partial(real, network.name),
            calibration=functools.partial(calibration, network),
        )
        for network in networks
    )


def recorded(networks: Sequence[Network], ask: Callable[[Networks], object]) -> dict[str, Tensors]:
    """Ask a model, and return all inputs that each of its networks was given, one batch; nothing of one not asked."""
    held: dict[str, list[Tensors]] = {}

    def instead_of(network: Network) -> Callable[..., Tensor]:
        def answer(*inputs: Tensor) -> Tensor:
            with torch.inference_mode(mode=False), torch.no_grad():
                held.setdefault(network.name, []).append(tuple(one.clone() for one in inputs))
            answered: Tensor = network.module(*inputs)
            return answered

        return answer

    with one_thread():
        ask({network.name: instead_of(network) for network in networks})
    return {
        name: tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
        for name, batches in held.items()
    }


def pieces(inputs: Tensors) -> Iterator[Tensors]:
    """Yield a batch in about SAMPLES parts of one size, two of them at least."""
    size = max(len(inputs[0]) // SAMPLES, 1)
    for first in range(0, len(inputs[0]) - size + 1, size):
        yield tuple(one[first : first + size] for one in inputs)


def drawn(
    ports: Sequence[Port], sizes: Mapping[str, int], generator: torch.Generator, counts: Sequence[int]
) -> Tensors:
    """Return random inputs; each series, past and ahead, is in a unit of its own, some spreads away from 0.

    counts: codes of each static, the last axis of the input "code".
    """
    shapes = {port.name: [sizes[dim] if isinstance(dim, str) else dim for dim in port.dims] for port in ports}
    lead = shapes["past"][:-1]
    spread = torch.randn(lead, generator=generator).exp()
    middle = SPREADS * spread * torch.randn(lead, generator=generator)

    def random(port: Port) -> Tensor:
        value = _random(port, tuple(shapes[port.name]), generator, counts)
        if port.name not in ("past", "ahead"):
            return value
        beside = (..., *[None] * (value.ndim - len(lead)))
        return middle[beside] + spread[beside] * value

    return tuple(map(random, ports))


def _random(port: Port, shape: tuple[int, ...], generator: torch.Generator, counts: Sequence[int]) -> Tensor:
    if port.dtype == "bool":
        return torch.rand(shape, generator=generator) > 0.1
    if port.name == "kind":
        return torch.randint(len(Kind), shape, generator=generator)
    if port.name == "code":
        return (torch.rand(shape, generator=generator) * torch.tensor(counts)).long()
    return torch.randn(shape, generator=generator)
