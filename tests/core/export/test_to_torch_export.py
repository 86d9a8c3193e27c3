"""The exported program is the network bit for bit."""

from __future__ import annotations

import torch

from core.export.to_torch_export import load
from tests.core.export.exported import exported
from tests.core.export.networks import network


def test_every_bit_is_the_networks() -> None:
    run = load(exported() / "torch_export" / "blur.pt2", None)
    for shape in ((1, 1, 8, 8), (8, 1, 64, 16)):
        x = torch.rand(shape)
        with torch.no_grad():
            assert torch.equal(run(x)[0], network().module(x))
