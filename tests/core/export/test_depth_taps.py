"""3-D networks written in 2-D convolutions compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.export.depth_taps import DepthTaps, NearestTwice, in_planes


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "bias"),
    [(3, 1, 1, True), (3, 2, 1, False), (1, 1, 0, True), (5, 2, 2, True)],
)
def test_a_convolution_is_the_sum_of_its_taps(kernel: int, stride: int, padding: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 4, kernel, stride=stride, padding=padding, bias=bias)
    x = torch.randn(2, 3, 9, 12, 10)
    with torch.no_grad():
        torch.testing.assert_close(DepthTaps(conv)(x), conv(x), atol=1e-5, rtol=1e-5)


def test_enlargement_repeats_each_voxel() -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    assert torch.equal(NearestTwice()(x), nn.Upsample(scale_factor=2, mode="nearest")(x))


def test_a_network_keeps_its_results_and_is_not_changed() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Sequential(nn.Conv3d(1, 4, 3, padding=1, bias=False), nn.BatchNorm3d(4), nn.ReLU()),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv3d(4, 2, 1),
    )
    net(torch.randn(4, 1, 8, 8, 8))
    net.eval()
    x = torch.randn(1, 1, 8, 6, 4)
    planes = in_planes(net)
    with torch.no_grad():
        torch.testing.assert_close(planes(x), net(x), atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, nn.Conv3d | nn.BatchNorm3d) for module in planes.modules())
    assert isinstance(net[2], nn.Conv3d)


@pytest.mark.parametrize(
    "conv",
    [nn.Conv3d(4, 4, 3, groups=2), nn.Conv3d(4, 4, 3, dilation=2), nn.Conv3d(4, 4, 3, stride=(1, 2, 2))],
)
def test_what_it_cannot_write_is_refused(conv: nn.Conv3d) -> None:
    with pytest.raises(ValueError, match="cannot be written as depth taps"):
        DepthTaps(conv)
