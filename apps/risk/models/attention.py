"""Grouped-query attention with rotary positions, and the gated feed-forward layer.

Legend: R rows attended over independently, N tokens of a row, D width, h heads, d width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.risk.models.sizes import Size

ROTARY_BASE = 10_000.0


class Attention(nn.Module):
    """Attention whose queries and keys are normalised (Henry et al. 2020, arXiv:2010.04245)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, self.kv_heads = size.heads, size.kv_heads
        self.head_width = size.width // size.heads
        self.query = nn.Linear(size.width, size.width, bias=False)
        self.key_value = nn.Linear(size.width, 2 * size.kv_heads * self.head_width, bias=False)
        self.out = nn.Linear(size.width, size.width, bias=False)
        self.query_norm = nn.RMSNorm(self.head_width)
        self.key_norm = nn.RMSNorm(self.head_width)

    def forward(self, x_RND: Tensor, may_see: Tensor | None, rotary_2Nd: Tensor | None) -> Tensor:
        """Return (R, N, D). may_see: bool, broadcast to (R, h, N, N), may the first token see the second."""
        R, N, D = x_RND.shape
        q = self.query_norm(self.query(x_RND).view(R, N, self.heads, self.head_width)).transpose(1, 2)
        kv = self.key_value(x_RND).view(R, N, 2 * self.kv_heads, self.head_width).transpose(1, 2)
        k, v = kv.chunk(2, dim=1)
        k = self.key_norm(k)
        if rotary_2Nd is not None:
            q, k = rotate(q, rotary_2Nd), rotate(k, rotary_2Nd)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=may_see, enable_gqa=self.heads != self.kv_heads
        )
        return self.out(mixed.transpose(1, 2).reshape(R, N, D))


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.gate = nn.Linear(size.width, size.hidden, bias=False)
        self.up = nn.Linear(size.width, size.hidden, bias=False)
        self.down = nn.Linear(size.hidden, size.width, bias=False)

    def forward(self, x_RND: Tensor) -> Tensor:
        """Keep the shape."""
        return self.down(F.silu(self.gate(x_RND)) * self.up(x_RND))


def rotary(position_N: Tensor, head_width: int) -> Tensor:
    """Return cosines and sines of rotary positions, (2, N, d / 2) (Su et al. 2021, arXiv:2104.09864)."""
    exponent = torch.arange(0, head_width, 2, device=position_N.device, dtype=torch.float32) / head_width
    angle = position_N.to(torch.float32)[:, None] * ROTARY_BASE**-exponent
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x_RhNd: Tensor, rotary_2Nd: Tensor) -> Tensor:
    """Turn the first half of each head's width against the second by its position."""
    cos, sin = rotary_2Nd.to(x_RhNd.dtype)
    first, second = x_RhNd.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
