"""Intervals over resampled owners: known order statistics, seeds, undefined resamples."""

from __future__ import annotations

import numpy as np
import pytest

from core.statistics.bootstrap import bootstrap, percentile_interval, resampled_weights


def test_bounds_are_the_order_statistics_25_and_975_of_1000() -> None:
    # LUNA16's evaluation script, compute_mean_ci: vec[floor(0.025 * 1000)] and vec[floor(0.975 * 1000)]
    shuffled = np.random.default_rng(3).permutation(1000).astype(float)
    bounds = percentile_interval(np.stack([shuffled, shuffled * 2], axis=1))
    assert bounds.tolist() == [[25.0, 50.0], [975.0, 1950.0]]


def test_undefined_resamples_are_left_out() -> None:
    values = np.full((10, 3), np.nan)
    values[:4, 0] = [3.0, 1.0, 2.0, 0.0]
    values[:, 1] = np.arange(10.0)
    bounds = percentile_interval(values)
    assert bounds[:, 0].tolist() == [0.0, 3.0]
    assert bounds[:, 1].tolist() == [0.0, 9.0]
    assert np.isnan(bounds[:, 2]).all()


def test_weights_sum_to_the_owners_and_repeat_with_the_seed() -> None:
    first = list(resampled_weights(7, samples=20, seed=5))
    again = list(resampled_weights(7, samples=20, seed=5))
    other = list(resampled_weights(7, samples=20, seed=6))
    assert len(first) == 20
    assert all(weights.shape == (7,) and weights.sum() == 7 for weights in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_interval_of_a_mean_covers_as_theory_says() -> None:
    # a mean of n normal values has standard error 1/sqrt(n); its 95 % interval is 2 * 1.96 / sqrt(n) wide
    values = np.random.default_rng(0).normal(size=400)
    lower, upper = bootstrap(lambda w: np.array([w @ values / w.sum()]), 400, samples=2000, seed=1)[:, 0]
    assert lower < values.mean() < upper
    assert upper - lower == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_one_owner_has_an_interval_of_no_width() -> None:
    assert bootstrap(lambda w: w.astype(float), 1, samples=5).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(("owners", "samples"), [(0, 10), (5, 0)])
def test_nothing_to_draw_is_refused(owners: int, samples: int) -> None:
    with pytest.raises(ValueError, match="needs an owner and a sample"):
        bootstrap(lambda w: w, owners, samples)


def test_an_impossible_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence is 95, wanted between 0 and 1"):
        percentile_interval(np.zeros((4, 1)), confidence=95)
