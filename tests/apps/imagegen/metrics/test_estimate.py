"""A figure and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.metrics.estimate import estimate


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    value_N = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    result = estimate(lambda weight_N: float(weight_N @ value_N / weight_N.sum()), 400)
    assert result.value == pytest.approx(value_N.mean())
    # a mean of 400 numbers of deviation 2 is known to 0.1, and 95 % lie within 1.96 of that
    assert result.upper - result.lower == pytest.approx(2 * 1.96 * 0.1, rel=0.15)
    assert result.lower < result.value < result.upper


def test_the_same_seed_gives_the_same_interval() -> None:
    value_N = np.arange(9.0)
    one, again, other = (
        estimate(lambda weight_N: float(weight_N @ value_N), 9, 50, seed) for seed in (4, 4, 5)
    )
    assert one == again
    assert one != other
