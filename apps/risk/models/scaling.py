"""Bring every series to one scale, robustly, and back: a client's 200 and an index's 40,000 look alike.

Legend: B series, C steps of the past.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = (
    8  # roundings of the dtype, relative to the size of the values: below it a series counts as constant
)
LARGEST = 12.0  # scaled values beyond it (80,000 scales from the middle) are taken for it


class Scale(NamedTuple):
    """middle_B: mean of what is known; spread_B: mean absolute deviation from it, 1 where nothing varies."""

    middle_B: Tensor
    spread_B: Tensor


def scale_of(value_BC: Tensor, known_BC: Tensor) -> Scale:
    """Return the scale of each series, from its known values alone; (0, 1) where none is known.

    value_BC: any number where known_BC is False. Both in the dtype of value_BC: float64 for values as read from a
    table, since float32 takes away what changes in a series around a billion.
    """
    known = known_BC.to(value_BC.dtype)
    value = torch.where(known_BC, value_BC, torch.zeros_like(value_BC))
    count = known.sum(dim=-1).clamp(min=1.0)
    largest = value.abs().amax(dim=-1)
    unit = torch.where(largest > 0, largest, torch.ones_like(largest))  # so that sums never overflow
    value = value / unit[..., None]
    middle = value.sum(dim=-1) / count
    spread = ((value - middle[..., None]).abs() * known).sum(dim=-1) / count
    varies = spread > SMALLEST * torch.finfo(value.dtype).eps
    return Scale(middle * unit, torch.where(varies, spread * unit, torch.ones_like(spread)))


def scaled(value_BC: Tensor, scale: Scale) -> Tensor:
    """Return arcsinh of distance from the middle in spreads: straight near 0, logarithmic far out.

    So a crash of fifty spreads is large, and drowns nothing else (Ansari et al. 2025, arXiv:2510.15821).
    """
    distance = (value_BC - scale.middle_B[..., None]) / scale.spread_B[..., None]
    return torch.asinh(distance).clamp(-LARGEST, LARGEST)


def unscaled(z_BHQ: Tensor, scale: Scale) -> Tensor:
    """Undo `scaled` for values with two more axes behind the series; monotone, so quantiles stay quantiles.

    In the dtype of the scale.
    """
    distance = torch.sinh(z_BHQ.clamp(-LARGEST, LARGEST).to(scale.middle_B.dtype))
    return scale.middle_B[..., None, None] + scale.spread_B[..., None, None] * distance
