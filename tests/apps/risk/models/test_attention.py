"""Attention against a plain loop over heads and tokens; positions count by their difference alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from apps.risk.models.attention import Attention, FeedForward, rotary, rotate
from apps.risk.models.sizes import Size

SIZE = Size(width=24, layers=1, heads=4, kv_heads=2, hidden=40)
HEAD = 6


def plain(net: Attention, x_ND: Tensor, may_see_NN: Tensor, rotary_2Nd: Tensor | None) -> Tensor:
    """One row, one head and one token after the other."""
    heads = []
    keys_values = net.key_value(x_ND)
    for head in range(SIZE.heads):
        shared = head // (SIZE.heads // SIZE.kv_heads)
        q = net.query_norm(net.query(x_ND)[:, head * HEAD : (head + 1) * HEAD])
        k = net.key_norm(keys_values[:, shared * HEAD : (shared + 1) * HEAD])
        v = keys_values[:, (SIZE.kv_heads + shared) * HEAD : (SIZE.kv_heads + shared + 1) * HEAD]
        if rotary_2Nd is not None:
            q, k = rotate(q, rotary_2Nd), rotate(k, rotary_2Nd)
        rows = []
        for token in range(len(x_ND)):
            weight = (
                (k @ q[token] / math.sqrt(HEAD)).masked_fill(~may_see_NN[token], -math.inf).softmax(dim=0)
            )
            rows.append(weight @ v)
        heads.append(torch.stack(rows))
    return net.out(torch.cat(heads, dim=1))


@pytest.mark.parametrize("turned", [False, True])
def test_attention_is_what_a_plain_loop_gives(turned: bool) -> None:
    torch.manual_seed(0)
    net = Attention(SIZE)
    x = torch.randn(3, 5, SIZE.width)
    may_see = torch.rand(3, 1, 5, 5) < 0.5
    may_see |= torch.eye(5, dtype=torch.bool)
    turn = rotary(torch.arange(5), HEAD) if turned else None
    with torch.inference_mode():
        out = net(x, may_see, turn)
        for row in range(3):
            assert torch.allclose(out[row], plain(net, x[row], may_see[row, 0], turn), atol=1e-5)


def test_positions_count_by_their_difference() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 7, HEAD), torch.randn(1, 1, 7, HEAD)
    near = rotate(q, rotary(torch.arange(7), HEAD)) @ rotate(k, rotary(torch.arange(7), HEAD)).transpose(
        -1, -2
    )
    at = torch.arange(7) + 1000
    far = rotate(q, rotary(at, HEAD)) @ rotate(k, rotary(at, HEAD)).transpose(-1, -2)
    assert torch.allclose(near, far, atol=1e-3)
    assert not torch.allclose(near, q @ k.transpose(-1, -2), atol=1e-2)


def test_feed_forward_is_gated() -> None:
    torch.manual_seed(0)
    net = FeedForward(SIZE)
    x = torch.randn(2, 3, SIZE.width)
    gate = net.gate(x)
    assert torch.allclose(net(x), net.down(gate * gate.sigmoid() * net.up(x)), atol=1e-6)
