"""What an app declares of a network."""

from __future__ import annotations

import torch

from core.export.network import as_tuple
from core.export.ports import Axis
from tests.core.export.networks import network


def test_the_example_is_the_same_in_every_call() -> None:
    (first,), (second,) = network().example(), network().example()
    assert torch.equal(first, second)
    assert first.shape == (2, 1, 16, 24)


def test_a_format_can_be_limited() -> None:
    axes = (Axis("B", 1, 2), Axis("H", 8, 8), Axis("W", 8, 8))
    sizes = ({"B": 1, "H": 8, "W": 8},)
    limited = network(narrowed={"executorch": (axes, sizes)})
    assert limited.within("executorch").axes == axes
    assert limited.within("executorch").sizes == sizes
    assert limited.within("onnx") is limited


def test_one_output_is_a_tuple_of_one() -> None:
    x = torch.ones(1)
    assert as_tuple(x) == (x,)
    assert as_tuple((x, x)) == (x, x)
