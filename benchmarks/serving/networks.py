"""A dense network to serve: as wide as it takes, each row by itself."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.export.formats import chosen
from core.export.manifest import Artifact
from core.export.network import Network
from core.export.ports import Axis, Port
from core.export.publish import publish
from core.export.task import Metric, Task

MODEL = "bench-dense"
_MOST = 64
_TASK = Task("none", (Metric("none", "nothing", "higher", 0.0),), lambda _: {"none": 0.0})


class Dense(nn.Module):
    """Input (B, inputs) to (B, 8), by layers of `width`."""

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = [inputs, *[width] * layers, 8]
        pairs = itertools.pairwise(sizes)
        self.layers = nn.Sequential(*(part for pair in pairs for part in (nn.Linear(*pair), nn.GELU())))

    def forward(self, x_BI: Tensor) -> Tensor:
        """Return the last layer's output."""
        result: Tensor = self.layers(x_BI)
        return result


def export_dense(folder: Path, inputs: int, width: int, layers: int, runtime: str) -> Artifact:
    """Export the network to a folder in one format. Raises InputError where it does not pass its check."""

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> tuple[Tensor, ...]:
        return (torch.rand(sizes["B"], inputs, generator=generator) * 2 - 1,)

    network = Network(
        name="dense",
        about="dense layers",
        module=Dense(inputs, width, layers).eval(),
        inputs=(Port("x", ("B", inputs), low=-1.0, high=1.0),),
        outputs=(Port("y", ("B", 8)),),
        axes=(Axis("B", 1, _MOST),),
        sizes=({"B": 2}, {"B": 16}),
        draw=draw,
        real=lambda: iter(()),
        rows="B",
    )
    manifest = publish([network], _TASK, chosen([runtime]), folder, app="bench", model="0" * 64)
    if not manifest.artifacts:
        raise InputError("export", f"{runtime}: {manifest.absent[0].why}")
    return manifest.artifacts[0]
