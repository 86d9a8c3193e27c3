"""bfloat16 is offered where the processor has it, and named as missing elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import openvino
import pytest
import torch
from torch import Tensor, nn

from core.export import to_openvino, to_openvino_bf16
from tests.core.export.networks import network


class Scaled(nn.Module):
    """A convolution of a picture's positive part, scaled by its mean and its mean distance from it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        away = x - x.mean(dim=(2, 3), keepdim=True)
        return self.conv(away / away.abs().mean(dim=(2, 3), keepdim=True))


def test_what_a_processor_lacks_is_said() -> None:
    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (to_openvino_bf16.lacking() is None) == able


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_weights_are_stored_in_half(tmp_path: Path) -> None:
    blur = network()
    files = to_openvino_bf16.write(blur, tmp_path / "blur")
    assert [file.name for file in files] == ["blur.xml", "blur.bin"]
    assert b'element_type="f16"' in files[0].read_bytes()
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            to_openvino_bf16.load(files[0], 1)(x)[0], blur.module(x), atol=2e-2, rtol=2e-2
        )


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_what_lies_before_the_first_product_stays_in_single_precision(tmp_path: Path) -> None:
    scaled = network(module=Scaled().eval(), inputs=(replace(network().inputs[0], low=None, high=None),))
    (file, _) = to_openvino_bf16.write(scaled, tmp_path / "scaled")
    x = 1000 + torch.rand(3, 1, 16, 24)
    with torch.no_grad():
        expected = scaled.module(x)
    (kept,) = to_openvino_bf16.load(file, 1)(x)
    torch.testing.assert_close(kept, expected, atol=2e-2, rtol=2e-2)
    if to_openvino_bf16.lacking() is None:  # as it would not without
        (lost,) = to_openvino.compiled(file, 1, "bf16")(x)
        assert not torch.allclose(lost, expected, atol=0.5)


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_a_network_that_begins_with_a_product_is_one_model(tmp_path: Path) -> None:
    first = network(module=nn.Conv2d(1, 2, 3, padding=1).eval())
    (file, _) = to_openvino_bf16.write(first, tmp_path / "first")
    scaling, products = to_openvino_bf16.parted(openvino.Core().read_model(file))
    assert scaling is None
    assert [entry.get_any_name() for entry in products.inputs] == ["x"]
