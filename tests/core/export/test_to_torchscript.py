"""TorchScript is read without Python's code of the network."""

from __future__ import annotations

import pytest
import torch

from core.export.to_torchscript import load
from tests.core.export.exported import exported
from tests.core.export.networks import network


@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")
def test_it_is_frozen_and_takes_other_sizes() -> None:
    file = exported() / "torchscript" / "blur.pt"
    x = torch.rand(8, 1, 64, 16)
    with torch.no_grad():
        torch.testing.assert_close(load(file, None)(x)[0], network().module(x))
    assert list(torch.jit.load(str(file)).parameters()) == []
