"""Blocks of days: their length, their law, and intervals beside arch's own bootstrap and theory."""

from __future__ import annotations

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from apps.risk.metrics.block_bootstrap import (
    block_bootstrap,
    mean_block_length,
    mean_loss_interval,
    stationary_indices,
    stationary_weights,
)
from core.statistics.bootstrap import bootstrap

NAN = np.nan


def clustered(days: int, memory: float, seed: int = 0) -> np.ndarray:
    shock = np.random.default_rng(seed).normal(size=days + 200)
    for day in range(1, days + 200):
        shock[day] += memory * shock[day - 1]
    return shock[200:]


def test_blocks_go_on_by_one_day_wrap_round_and_have_their_mean_length() -> None:
    draws = np.stack(list(stationary_indices(200, 8.0, samples=400, seed=1)))
    assert draws.shape == (400, 200)
    assert draws.min() == 0
    assert draws.max() == 199
    follows = (draws[:, 1:] - draws[:, :-1]) % 200 == 1
    # a block ends with chance 1/8, and one drawn anew follows by chance in 1 of 200
    expected = 7 / 8 + 1 / 8 / 200
    error = np.sqrt(expected * (1 - expected) / follows.size)
    assert follows.mean() == pytest.approx(expected, abs=4 * error)
    # each day is as likely as any other
    counts = np.bincount(draws.ravel(), minlength=200)
    assert counts.mean() == 400
    assert counts.std() < 5 * np.sqrt(400 * 15)


def test_draws_repeat_with_the_seed_and_weights_count_them() -> None:
    first = np.stack(list(stationary_indices(30, 4.0, samples=20, seed=3)))
    again = np.stack(list(stationary_indices(30, 4.0, samples=20, seed=3)))
    other = np.stack(list(stationary_indices(30, 4.0, samples=20, seed=4)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    weights = list(stationary_weights(30, 4.0, samples=20, seed=3))
    assert len(weights) == 20
    for index_T, weight_T in zip(first, weights, strict=True):
        assert weight_T.tolist() == [int(np.sum(index_T == day)) for day in range(30)]


def test_blocks_as_long_as_the_days_turn_the_circle() -> None:
    turned = [index_T for index_T in stationary_indices(6, 6.0, samples=200) if len(np.unique(index_T)) == 6]
    assert len(turned) > 50


def test_an_interval_is_that_of_arch() -> None:
    loss_T = clustered(400, 0.6)
    ours = mean_loss_interval(loss_T[:, None], 12.0, samples=1500, seed=1)[:, 0]
    theirs = StationaryBootstrap(12, loss_T, seed=1).conf_int(np.mean, reps=1500, method="percentile")[:, 0]
    assert ours == pytest.approx(theirs, abs=0.12 * (theirs[1] - theirs[0]))


def test_days_that_cluster_have_wider_intervals_than_single_days_say() -> None:
    loss_T = clustered(1500, 0.8, seed=2)

    def mean(weight_T: np.ndarray) -> np.ndarray:
        return np.array([weight_T @ loss_T / weight_T.sum()])

    blocks = block_bootstrap(mean, 1500, 40.0, samples=600, seed=1)[:, 0]
    single = bootstrap(mean, 1500, samples=600, seed=1)[:, 0]
    # the mean of an AR(1) of memory .8 has the standard error 1 / (1 - .8) / sqrt(T)
    assert np.diff(blocks)[0] == pytest.approx(2 * 1.96 * 5 / np.sqrt(1500), rel=0.25)
    assert np.diff(blocks)[0] > 2 * np.diff(single)[0]


def test_single_day_blocks_are_the_plain_bootstrap_in_law() -> None:
    loss_T = np.random.default_rng(3).normal(size=500)
    width = np.diff(mean_loss_interval(loss_T[:, None], 1.0, samples=1500)[:, 0])[0]
    assert width == pytest.approx(2 * 1.96 * loss_T.std() / np.sqrt(500), rel=0.1)


def test_columns_share_their_days_and_skip_missing_ones() -> None:
    loss_T = clustered(120, 0.5)
    gapped = np.where(np.arange(120) % 10 == 0, NAN, loss_T)
    bounds = mean_loss_interval(np.stack([loss_T, loss_T + 5.0, gapped], axis=1), 6.0, samples=300)
    assert bounds.shape == (2, 3)
    assert bounds[:, 1] == pytest.approx(bounds[:, 0] + 5.0)
    mean = np.nanmean(gapped)
    assert bounds[0, 2] < mean < bounds[1, 2]

    def plain(weight_T: np.ndarray) -> np.ndarray:
        drawn = np.repeat(gapped, weight_T)
        return np.array([np.mean(drawn[~np.isnan(drawn)])])

    assert bounds[:, 2:] == pytest.approx(block_bootstrap(plain, 120, 6.0, samples=300))


def test_a_column_known_on_few_days_is_undefined_in_some_resamples_and_left_out() -> None:
    rare = np.full(40, NAN)
    rare[3] = 2.5
    assert mean_loss_interval(rare[:, None], 2.0, samples=50)[:, 0].tolist() == [2.5, 2.5]


def test_the_block_length_grows_with_memory_and_minds_neither_unit_nor_gaps() -> None:
    short, long = mean_block_length(clustered(1000, 0.0)), mean_block_length(clustered(1000, 0.9))
    assert 1.0 <= short < 10.0
    assert long > 3 * short
    loss_T = clustered(500, 0.7)
    assert mean_block_length(1e18 * loss_T) == pytest.approx(mean_block_length(loss_T))
    assert mean_block_length(np.insert(loss_T, [7, 99], NAN)) == mean_block_length(loss_T)
    assert mean_block_length(np.arange(60.0)) <= 20.0
    assert mean_block_length(np.full(50, 2.0)) == 1.0


def test_impossible_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mean_block is 0\.5, wanted between 1 and the 10 days"):
        next(stationary_indices(10, 0.5))
    with pytest.raises(ValueError, match=r"mean_block is 11\.0, wanted between 1 and the 10 days"):
        next(stationary_weights(10, 11.0))
    with pytest.raises(ValueError, match="days is 0, wanted at least 1"):
        next(stationary_indices(0, 1.0))
    with pytest.raises(ValueError, match="samples is 0, wanted at least 1"):
        next(stationary_indices(10, 2.0, samples=0))
    with pytest.raises(ValueError, match="confidence is 95, wanted between 0 and 1"):
        mean_loss_interval(np.ones((10, 1)), 2.0, samples=5, confidence=95)
    with pytest.raises(ValueError, match="1 of 2 columns have no loss"):
        mean_loss_interval(np.array([[1.0, NAN], [2.0, NAN]]), 1.0)
    with pytest.raises(ValueError, match="loss_TS has 1 infinite values"):
        mean_loss_interval(np.array([[1.0], [np.inf]]), 1.0)
    with pytest.raises(ValueError, match="days with a loss is 19, wanted at least 20"):
        mean_block_length(np.append(np.arange(19.0), NAN))
