"""The bytes that live at one time, counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from core.training.live_memory import LiveMemory

KB = 256  # numbers of float32 in a kilobyte


def test_what_is_let_go_counts_no_more() -> None:
    with LiveMemory([]) as live:
        first = torch.zeros(4 * KB)  # 4 kB
        second = first + 1.0  # 8
        del first  # 4
        third = torch.cat([second, second])  # 12
        del second, third
        torch.zeros(11 * KB)
    assert live.peak() == 12 * 1024


def test_views_and_changes_in_place_take_nothing() -> None:
    with LiveMemory([]) as live:
        x = torch.zeros(4 * KB)
        y = x.view(2, -1).t()
        y.add_(1.0)
        torch.add(x, 1.0, out=x)
    assert live.peak() == 4 * 1024


def test_what_is_left_out_is_not_counted_nor_its_views() -> None:
    weight = torch.zeros(4 * KB)
    with LiveMemory([weight]) as live:
        part = weight[:KB]
        doubled = part * 2.0
    assert live.peak() == doubled.nbytes == 1024


@pytest.mark.parametrize("fake", [True, False], ids=["without-content", "real"])
def test_gradients_of_weights_are_let_go_and_left_out(fake: bool) -> None:
    with FakeTensorMode() if fake else torch.no_grad(), torch.enable_grad():
        layer = nn.Linear(64, 512, bias=False)
        x = torch.ones(2, 64)
        layer.weight.register_post_accumulate_grad_hook((live := LiveMemory([layer.weight])).forget)
        with live:
            layer(x).sum().backward()
    assert layer.weight.grad is None
    # the output beside its sum; the output's gradient is a view of a single 1, the weight's (128 kB) is left out
    assert live.peak() == 2 * 512 * 4 + 4


def test_nothing_run_takes_nothing() -> None:
    assert LiveMemory([]).peak() == 0
