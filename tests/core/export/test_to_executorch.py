"""A 3-D network runs in ExecuTorch, which has no 3-D convolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.export import to_executorch
from core.export.network import Network
from core.export.ports import Axis, Port
from tests.core.export.own_process import in_own_process, need_executorch


def draw(sizes: Mapping[str, int], generator: torch.Generator) -> tuple[Tensor, ...]:
    return (torch.rand(sizes["B"], 1, 8, 8, 8, generator=generator),)


def compare(folder: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv3d(4, 2, 3, stride=2, padding=1),
    ).eval()
    declared = Network(
        name="solid",
        about="",
        module=net,
        inputs=(Port("x", ("B", 1, 8, 8, 8)),),
        outputs=(Port("y", ("B", 2, 8, 8, 8)),),
        axes=(Axis("B", 1, 4),),
        sizes=({"B": 4}, {"B": 1}),
        draw=draw,
        real=lambda: iter(()),
    )
    (file,) = to_executorch.write(declared, Path(folder) / "solid")
    run = to_executorch.load(file, 1)
    for count in (4, 1, 3):
        (x,) = draw({"B": count}, torch.Generator().manual_seed(count))
        with torch.no_grad():
            torch.testing.assert_close(run(x)[0], net(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_three_dimensions_are_computed_in_planes(tmp_path: Path) -> None:
    need_executorch()
    in_own_process(compare, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["solid.pte"]
