"""What a result says of itself."""

from __future__ import annotations

import math

import pytest

from apps.risk.metrics.results import BacktestResult


@pytest.mark.parametrize(
    ("p_value", "size", "rejected"),
    [
        (0.04, 0.05, True),
        (0.05, 0.05, True),
        (0.06, 0.05, False),
        (0.04, 0.01, False),
        (math.nan, 0.05, False),
    ],
)
def test_a_forecast_fails_at_its_size_and_an_undefined_p_value_fails_none(
    p_value: float, size: float, rejected: bool
) -> None:
    # the asymptotic p-value is for comparison alone
    assert BacktestResult(1.0, p_value, 0.001, 250, 3).rejects(size) is rejected


def test_the_size_is_five_percent_unless_said() -> None:
    assert BacktestResult(1.0, 0.03, 0.5, 250, 3).rejects()
    assert not BacktestResult(1.0, 0.07, 0.01, 250, 3).rejects()
