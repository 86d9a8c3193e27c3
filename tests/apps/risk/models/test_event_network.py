"""The logits of large batches are those of riskformer itself, cost no square of the batch, and tell what is hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from apps.risk.models.event_network import EventNetwork, without
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
    assert costs[1] == pytest.approx(2 * costs[0], rel=1e-3)  # a few rows of padding are the same for both


def test_hidden_rows_are_as_if_nothing_were_known() -> None:
    rows, net = rows_of_clients(7), EventNetwork(SIZE, (3, 4)).eval()
    hidden = without(rows, torch.arange(7 * V) % V == 1)
    assert not hidden.known_BC[1::V].any()
    assert not hidden.known_BH[1::V].any()
    assert (hidden.level_B2[1::V] == 0).all()
    assert torch.equal(hidden.known_BC[0::V], rows.known_BC[0::V])
    spoiled = hidden._replace(past_BC=torch.where(hidden.known_BC, hidden.past_BC, 7.0))
    with torch.inference_mode():
        assert torch.equal(net.logits(hidden, V), net.logits(spoiled, V))


@pytest.mark.parametrize("every", [1, 2, 3, 5])  # rows meet in the first layer, between others, never
def test_what_is_hidden_costs_little_and_changes_nothing_else(every: int) -> None:
    torch.manual_seed(0)
    net = EventNetwork(replace(SIZE, group_every=every), (3, 4)).eval()
    rows = rows_of_clients(7)
    hidden_KV = torch.tensor([[False, False, False], [True, False, False], [False, True, True]])
    with torch.inference_mode():
        result_KG = net.logits_without(rows, hidden_KV)
        plain_KG = torch.stack([net.logits(without(rows, hidden_V.repeat(7)), V) for hidden_V in hidden_KV])
    assert result_KG.shape == (3, 7)
    assert torch.allclose(result_KG, plain_KG, atol=1e-6)
    assert all((result_KG[0] - result_KG[k]).abs().max() > 0.01 for k in (1, 2))


def test_layers_before_rows_meet_look_twice_however_much_is_hidden() -> None:
    net, rows = EventNetwork(replace(SIZE, layers=2), (3, 4)).eval(), rows_of_clients(40)
    costs = []
    for ask in (
        lambda: net.logits(rows, V),
        lambda: net.logits_without(rows, torch.zeros(1, V, dtype=torch.bool)),
        lambda: net.logits_without(rows, torch.zeros(2, V, dtype=torch.bool)),
    ):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            ask()
        costs.append(counter.get_total_flops())
    assert costs[1] < 2 * costs[0]
    assert costs[2] - costs[1] < costs[0] / 4
