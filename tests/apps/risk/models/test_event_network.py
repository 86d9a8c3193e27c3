"""The logits of large batches are those of riskformer itself, and cost no square of the batch."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from apps.risk.models.event_network import EventNetwork
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import Rows

SIZE = Size(width=16, layers=4, heads=2, kv_heads=1, hidden=16, patch=4, group_every=2)
V, C, H = 3, 10, 2


def rows_of_clients(clients: int) -> Rows:
    generator = torch.Generator().manual_seed(1)
    R = clients * V
    known = torch.rand(R, C, generator=generator) < 0.6
    known[:V] = False  # of the first client nothing is known at all, of the second one variable
    known[V : 2 * V - 1] = False
    return Rows(
        past_BC=torch.randn(R, C, generator=generator),
        known_BC=known,
        ahead_BH=torch.randn(R, H, generator=generator),
        known_BH=torch.rand(R, H, generator=generator) < 0.5,
        kind_B=torch.arange(V).repeat(clients),
        group_B=torch.arange(clients).repeat_interleave(V),
        code_BS=torch.randint(0, 3, (R, 2), generator=generator),
        level_B2=torch.randn(R, 2, generator=generator),
    )


def test_logits_are_those_of_riskformer() -> None:
    torch.manual_seed(0)
    net = EventNetwork(SIZE, (3, 4)).eval()
    rows = rows_of_clients(7)
    with torch.inference_mode():
        own, whole = net.logits(rows, V), net(rows).event_G
    assert own.shape == (7,)
    assert own.std() > 0.01
    assert torch.allclose(own, whole, atol=1e-5)


def test_twice_the_clients_cost_twice() -> None:
    net = EventNetwork(SIZE, (3, 4)).eval()
    costs = []
    for clients in (40, 80):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net.logits(rows_of_clients(clients), V)
        costs.append(counter.get_total_flops())
    assert costs[1] == 2 * costs[0]
