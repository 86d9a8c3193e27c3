"""The compact detector's two networks: one proposes candidates in a whole lung, one classifies each.

Legend: B batch, D H W voxels of 1 mm, d h w cells of 4 mm.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SPACING_MM = 1.0
STRIDE = 4  # voxels a proposal cell spans
CROP = 40  # voxels a judged cube spans


def normalise(hu: Tensor) -> Tensor:
    """Map HU −1000..400 to −1..1, clipped; any shape."""
    return (hu.clamp(-1000.0, 400.0) + 300.0) / 700.0


class ConvNorm(nn.Sequential):
    """3×3×3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two convolutions around a shortcut (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = nn.Sequential(nn.Conv3d(width, width, 3, padding=1, bias=False), nn.BatchNorm3d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return F.relu(x + self.second(self.first(x)), inplace=True)


class ProposalNet(nn.Module):
    """A heat map of nodule centres over a lung, fully convolutional.

    Input (B, 1, D, H, W), normalised, sizes divisible by 8; output (B, 5, D/4, H/4, W/4): logit of a centre,
    offset of the centre from the cell's middle along D, H, W in cells, log of the diameter in mm.
    The first layer folds 2×2×2 voxels into channels, so nothing is computed at full resolution.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.at_2mm = nn.Sequential(ConvNorm(8, fine), Residual(fine))
        self.at_4mm = nn.Sequential(ConvNorm(fine, middle, stride=2), Residual(middle), Residual(middle))
        self.at_8mm = nn.Sequential(ConvNorm(middle, coarse, stride=2), Residual(coarse), Residual(coarse))
        self.lift = nn.Conv3d(coarse, middle, 1, bias=False)
        self.twice = nn.Upsample(scale_factor=2, mode="nearest")
        self.fuse = Residual(middle)
        self.head = nn.Conv3d(middle, 5, 1)
        _start_at(self.head, logit=-4.6)  # a probability of 1 %

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 5, D/4, H/4, W/4)."""
        quarter = self.at_4mm(self.at_2mm(_fold(x)))
        lifted = self.twice(self.lift(self.at_8mm(quarter)))
        return self.head(self.fuse(quarter + lifted))


class JudgeNet(nn.Module):
    """Is the middle of this cube a nodule, where exactly, and how large?

    Input (B, 1, 40, 40, 40), normalised; output (B, 5): logit, offset of the centre from the cube's middle
    along D, H, W in cells of 4 mm, log of the diameter in mm.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.features = nn.Sequential(
            ConvNorm(1, a, stride=1),
            ConvNorm(a, b, stride=2),
            Residual(b),
            ConvNorm(b, c, stride=2),
            Residual(c),
            Residual(c),
            ConvNorm(c, d, stride=2),
            Residual(d),
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * d, 5)
        _start_at(self.head, logit=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 5)."""
        features = self.features(x)
        middle = features[:, :, 1:4, 1:4, 1:4].mean(dim=(2, 3, 4))
        return self.head(self.dropout(torch.cat([middle, features.amax(dim=(2, 3, 4))], dim=1)))


class CompactNet(nn.Module):
    """Both networks under one roof, so that one file holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.proposal = ProposalNet()
        self.judge = JudgeNet()


def _start_at(head: nn.Conv3d | nn.Linear, logit: float) -> None:
    """Begin with a likely answer: this logit, no offset, 8 mm."""
    start = torch.tensor([logit, 0.0, 0.0, 0.0, math.log(8.0)])
    head.bias = nn.Parameter(start)


def _fold(x: Tensor) -> Tensor:
    """(B, 1, D, H, W) to (B, 8, D/2, H/2, W/2)."""
    corners = [x[:, :, d::2, h::2, w::2] for d in (0, 1) for h in (0, 1) for w in (0, 1)]
    return torch.cat(corners, dim=1)
