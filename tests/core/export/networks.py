"""A small network with a batch and two axes, as an app declares one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from core.export.network import Network
from core.export.ports import Axis, Port


class Blur(nn.Module):
    """Input (B, 1, H, W) to (B, 2, H, W): a convolution, and how far each pixel lies from its picture's mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv(x).tanh(), x - x.mean(dim=(2, 3), keepdim=True)], dim=1)


def draw(sizes: Mapping[str, int], generator: torch.Generator) -> tuple[Tensor, ...]:
    return (torch.rand(sizes["B"], 1, sizes["H"], sizes["W"], generator=generator) * 2 - 1,)


def samples(count: int, first: int = 100) -> Iterator[tuple[Tensor, ...]]:
    for seed in range(first, first + count):
        yield draw({"B": 1, "H": 16, "W": 16}, torch.Generator().manual_seed(seed))


def network(**changes: Any) -> Network:
    made = Network(
        name="blur",
        about="blurs",
        module=Blur().eval(),
        inputs=(Port("x", ("B", 1, "H", "W"), low=-1.0, high=1.0),),
        outputs=(Port("y", ("B", 2, "H", "W")),),
        axes=(Axis("B", 1, 8), Axis("H", 8, 64, 8), Axis("W", 8, 64, 8)),
        sizes=({"B": 2, "H": 16, "W": 24}, {"B": 1, "H": 32, "W": 8}, {"B": 5, "H": 8, "W": 40}),
        draw=draw,
        real=lambda: samples(2),
        calibration=lambda: samples(40, first=200),
        rows="B",
    )
    return replace(made, **changes)
