"""The comparison with eager notices what is wrong with an artifact."""

from __future__ import annotations

import math

import pytest
import torch

from core.export.check import check, error_of, sizes_of
from core.export.ports import Axis
from tests.core.export.networks import Blur, network

BLUR = Blur().eval()


def same(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return (torch.cat([BLUR(row[None]) for row in x]),)


def test_the_network_itself_has_no_error() -> None:
    checked = check(network(), same, turns=3)
    assert checked.error < 1e-6
    assert [case.inputs for case in checked.cases] == ["random"] * 3 + ["real"] * 2
    assert checked.cases[1].sizes == {"B": 1, "H": 32, "W": 8}
    assert checked.rows_independent
    assert 0.2 < checked.ratio < 5


def test_rows_that_depend_on_their_batch_are_noticed() -> None:
    def mixed(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (same(x)[0] + 1e-7 * x.amax(),)

    assert check(network(), mixed, turns=1).rows_independent is False
    assert check(network(rows=None), mixed, turns=1).rows_independent is None


def test_a_value_frozen_in_the_export_is_noticed() -> None:
    (frozen,) = same(*network().example())

    def constant(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (frozen if x.shape[0] == len(frozen) else same(x)[0],)

    assert check(network(rows=None), constant, turns=1).error > 0.1


@pytest.mark.parametrize(
    ("expected", "given", "error"),
    [
        ([1.0, -2.0], [1.0, -2.0], 0.0),
        ([1.0, -2.0], [1.1, -2.0], 0.05),
        ([0.0, 0.0], [0.5, 0.0], 0.5),
        ([1.0, math.nan], [1.0, math.nan], 0.0),
        ([1.0, math.inf], [1.0, math.inf], 0.0),
        ([1.0, math.inf], [1.0, -math.inf], math.inf),
        ([1.0, 2.0], [1.0, math.nan], math.inf),
        ([1.0, 2.0], [1.0], math.inf),
    ],
)
def test_an_error_is_relative_to_the_largest_value(
    expected: list[float], given: list[float], error: float
) -> None:
    assert error_of((torch.tensor(expected),), (torch.tensor(given),)) == pytest.approx(error, abs=1e-6)


def test_another_number_of_outputs_is_an_error() -> None:
    assert error_of((torch.ones(1), torch.ones(1)), (torch.ones(1),)) == math.inf


def test_sizes_are_read_from_inputs() -> None:
    assert sizes_of(network(), (torch.ones(2, 1, 8, 16),)) == {"B": 2, "H": 8, "W": 16}


def test_real_inputs_that_a_format_does_not_take_are_not_compared() -> None:
    small = ((Axis("B", 1, 8), Axis("H", 8, 8), Axis("W", 8, 8)), ({"B": 2, "H": 8, "W": 8},))
    limited = network(narrowed={"small": small}).within("small")
    checked = check(limited, same, turns=1)
    assert [case.inputs for case in checked.cases] == ["random"]
