"""Hooks see and change what passes, nest, leave nothing behind, and keep to their own thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.compute.hooks import Call, hooked
from core.errors import InternalFault


class Sum(nn.Module):
    """Two layers, the second called with a keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = Scaled()
        nn.init.eye_(self.first.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x), factor=3.0)


class Scaled(nn.Module):
    """Times a factor."""

    def forward(self, x: Tensor, factor: float) -> Tensor:
        return x * factor


X = torch.tensor([[1.0, 2.0]])
PLAIN = [[3.0, 6.0]]


def _any(name: str, module: nn.Module) -> bool:
    return bool(name)


def _second(name: str, module: nn.Module) -> bool:
    return name == "second"


def _count(network: nn.Module) -> int:
    return sum(len(one._forward_hooks) for one in network.modules())


def test_hooks_see_names_modules_and_outputs_in_order() -> None:
    network = Sum()
    seen: list[Any] = []
    with hooked(network, _any, post=lambda call, output: seen.append((call, output.tolist()))):
        assert network(X).tolist() == PLAIN
    assert seen == [
        (Call("first", network.first), [[1.0, 2.0]]),
        (Call("second", network.second), PLAIN),
    ]
    assert _count(network) == 0


def test_hooks_may_change_what_comes_out_and_nest() -> None:
    network = Sum()
    with hooked(network, _second, post=lambda call, output: output * 2):
        assert network(X).tolist() == [[6.0, 12.0]]
        with hooked(network, _second, post=lambda call, output: output + 1):
            assert network(X).tolist() == [[7.0, 13.0]]
        assert network(X).tolist() == [[6.0, 12.0]]
    assert network(X).tolist() == PLAIN


def test_of_two_on_one_module_the_outer_comes_first() -> None:
    network, order = Sum(), []
    with (
        hooked(network, _second, post=lambda call, output: order.append("outer")),
        hooked(network, _second, post=lambda call, output: order.append("inner")),
    ):
        network(X)
    assert order == ["outer", "inner"]


def test_all_hooks_are_removed_when_something_fails() -> None:
    network = Sum()

    def fail(call: Call, output: Tensor) -> None:
        raise ValueError("negative")

    with pytest.raises(ValueError, match="negative"), hooked(network, _any, post=fail):
        network(X)
    assert _count(network) == 0
    assert network(X).tolist() == PLAIN


def test_calls_of_another_thread_pass_by() -> None:
    network, seen, results = Sum(), [], []
    with hooked(network, _second, post=lambda call, output: seen.append(call.name)):
        other = threading.Thread(target=lambda: results.append(network(X).tolist()))
        other.start()
        other.join()
        assert (results, seen) == ([PLAIN], [])
        network(X)
    assert seen == ["second"]


def test_an_empty_selection_is_a_fault_that_names_what_there_is() -> None:
    with (
        pytest.raises(InternalFault, match=r"no module of Sum, which holds first, second, is selected"),
        hooked(Sum(), lambda name, module: name == "third", post=print),
    ):
        pass
    deep = nn.Sequential(*(nn.Identity() for _ in range(11)))
    with (
        pytest.raises(InternalFault, match=r"holds 0, 1, 2, 3, 4, 5, 6, 7 and 3 more, is selected"),
        hooked(deep, lambda name, module: False, post=print),
    ):
        pass
