"""Networks as they are exported, standing in for PyTorch's: the same answers, whatever the unit of a series."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from apps.risk.models.exported import EventMembers, ForecastNetwork, padded
from tests.apps.risk.models import events, networks

CONTEXT = 32


def past_NDC(level: float, days: int = CONTEXT) -> np.ndarray:
    """Six series on three dates, some values missing, one of them constant."""
    draw = np.random.default_rng(0)
    value = level + draw.standard_normal((6, 3, days))
    value[draw.random(value.shape) < 0.1] = np.nan
    value[4] = level
    return value


@pytest.mark.parametrize("group_N", [None, np.array([0, 0, 1, 1, 1, 2])])
@pytest.mark.parametrize(("level", "days", "horizon"), [(0.0, CONTEXT, 8), (1e9, CONTEXT, 11), (5.0, 20, 3)])
def test_forecasts_are_those_of_the_network(
    group_N: np.ndarray | None, level: float, days: int, horizon: int
) -> None:
    model = networks.untrained(CONTEXT)
    asked: list[tuple[int, ...]] = []
    module = ForecastNetwork(model.net)

    def answer(*inputs: Tensor) -> Tensor:
        assert inputs[0].dtype == torch.float32
        assert inputs[0].shape[-1] == padded(CONTEXT)
        asked.append(tuple(inputs[2].shape[-2:]))
        out: Tensor = module(*inputs)
        return out

    stands_in = model.with_networks({"forecast": answer, "forecast_alone": answer})
    past = past_NDC(level, days)
    expected = model.quantiles(past, horizon, group_N)
    given = stands_in.quantiles(past, horizon, group_N)
    assert set(asked) == {(-(-horizon // 8), 8)}
    # relative to the spread of the series, which is 1, and not to their level
    assert np.abs(expected - given).max() < 1e-4 + 1e-15 * level
    assert np.abs(given[..., 0] - given[..., -1]).min() > 0


def test_an_event_is_that_of_the_members() -> None:
    model, panel = events.untrained(), events.known()
    stands_in = model.with_networks({"event": EventMembers(model.members)})
    expected, given = model.forecast_event(panel).pd_N, stands_in.forecast_event(panel).pd_N
    assert np.abs(expected - given).max() < 1e-5
    assert np.ptp(given) > 1e-4
    assert not np.array_equal(expected, given)  # PyTorch scales in another precision: the member was asked
    assert model.drivers(panel) == stands_in.drivers(panel)
