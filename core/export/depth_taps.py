"""3-D convolutions for run times that know 2-D ones only: the same sums, over depth taps of 2-D convolutions.

A kernel of depth K is K kernels in the plane, each applied to the slices that it meets. Batch norms of evaluation mode
are folded into the convolutions before it, so nothing of three dimensions is left but sums, slices and activations.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class DepthTaps(nn.Module):
    """What `nn.Conv3d` computes, by 2-D convolutions; (B, C, D, H, W) to (B, C', D', H', W')."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride[0], int(conv.padding[0])
        self.taps = nn.ModuleList(_tap(conv, depth) for depth in range(conv.kernel_size[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Sum over the taps; each sees the slices that its depth meets."""
        B, C, D, H, W = x.shape
        depth = (D + 2 * self.padding - len(self.taps)) // self.stride + 1
        padded = F.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        total: Tensor | None = None
        for number, tap in enumerate(self.taps):
            slices = padded[:, :, number : number + (depth - 1) * self.stride + 1 : self.stride]
            plane = tap(slices.transpose(1, 2).reshape(B * depth, C, H, W))
            total = plane if total is None else total + plane
        assert total is not None  # a kernel has at least one tap
        return total.unflatten(0, (B, depth)).transpose(1, 2)


class NearestTwice(nn.Module):
    """Nearest-neighbour enlargement by 2 along all three axes, by repetition."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C, 2 D, 2 H, 2 W)."""
        # one axis at a time: small run times take tensors of at most six
        for axis in (2, 3, 4):
            sizes = list(x.shape)
            x = (
                x.unsqueeze(axis + 1)
                .expand(*sizes[: axis + 1], 2, *sizes[axis + 1 :])
                .flatten(axis, axis + 1)
            )
        return x


def in_planes(module: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode with every `nn.Conv3d` as `DepthTaps`, batch norms folded in.

    `nn.Upsample` by 2, nearest, of three axes becomes `NearestTwice`.

    Raises ValueError for convolutions that it cannot write so: groups, dilation, or strides that differ along depth.
    """
    return _replaced(copy.deepcopy(module).eval())


def _replaced(module: nn.Module) -> nn.Module:
    children = list(module.named_children())
    for number, (name, child) in enumerate(children):
        following = children[number + 1][1] if number + 1 < len(children) else None
        if isinstance(child, nn.Conv3d) and isinstance(following, nn.BatchNorm3d):
            setattr(module, name, DepthTaps(fuse_conv_bn_eval(child, following)))
            setattr(module, children[number + 1][0], nn.Identity())
        elif isinstance(child, nn.Conv3d):
            setattr(module, name, DepthTaps(child))
        elif isinstance(child, nn.Upsample):
            setattr(module, name, NearestTwice())
        else:
            _replaced(child)
    return module


def _tap(conv: nn.Conv3d, depth: int) -> nn.Conv2d:
    dilated, uneven = set(conv.dilation) != {1}, len({*conv.stride}) > 1 or len({*conv.padding}) > 1
    if conv.groups != 1 or dilated or uneven:
        raise ValueError(f"{conv} cannot be written as depth taps")
    has_bias = conv.bias is not None and depth == 0
    tap = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size[1:],  # type: ignore[arg-type]
        stride=conv.stride[1:],  # type: ignore[arg-type]
        padding=conv.padding[1:],  # type: ignore[arg-type]
        bias=has_bias,
    )
    with torch.no_grad():
        tap.weight.copy_(conv.weight[:, :, depth])
        if has_bias:
            assert tap.bias is not None
            assert conv.bias is not None
            tap.bias.copy_(conv.bias)
    return tap
