"""The exported program that formats share."""

from __future__ import annotations

import torch

from core.export.program import program_of
from tests.core.export.networks import network


def test_it_is_made_once_and_takes_other_sizes() -> None:
    blur = network()
    program = program_of(blur)
    assert program_of(blur) is program
    x = torch.rand(7, 1, 8, 56)
    with torch.no_grad():
        assert torch.equal(program.module()(x), blur.module(x))
