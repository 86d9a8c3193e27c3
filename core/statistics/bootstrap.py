"""Seeded percentile intervals by resampling owners: scans, days, prompts, whatever errors cluster in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

SAMPLES = 1000
CONFIDENCE = 0.95


def resampled_weights(owners: int, samples: int = SAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield, `samples` times, how often each owner was drawn, (owners,) int64 that sum to `owners`.

    The same seed gives the same draws. Raises ValueError without an owner or a sample.
    """
    if owners < 1 or samples < 1:
        raise ValueError(f"resampling needs an owner and a sample, got {owners} owners, {samples} samples")
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.bincount(generator.integers(owners, size=owners), minlength=owners)


def percentile_interval(values_BS: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
    """Return lower and upper bounds, (2, S), of statistics over B resamples.

    A bound is an order statistic, number floor(p B) from zero: 25 and 975 of 1000, as evaluation scripts of
    challenges take it. NaN (a resample in which the statistic is undefined) is left out; NaN alone gives NaN.
    Raises ValueError where confidence does not lie between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}, wanted between 0 and 1")
    sorted_BS = np.sort(values_BS, axis=0)  # NaN goes last
    defined_S = np.sum(~np.isnan(sorted_BS), axis=0)
    tail = (1.0 - confidence) / 2.0
    columns_S = np.arange(sorted_BS.shape[1])
    bounds = [sorted_BS[_order(p, defined_S), columns_S] for p in (tail, 1.0 - tail)]
    return np.stack(bounds)


def _order(p: float, defined_S: np.ndarray) -> np.ndarray:
    # rounded first: 0.025 * 1000 must not fall to 24 by the last bit
    ranks = [math.floor(round(p * int(n), 9)) for n in defined_S]
    return np.clip(ranks, 0, np.maximum(defined_S - 1, 0))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    owners: int,
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> np.ndarray:
    """Return the percentile interval, (2, S), of a statistic over resampled owners.

    statistic: takes how often each owner counts, (owners,) int64, and returns (S,) numbers.
    """
    values_BS = np.stack([statistic(weights) for weights in resampled_weights(owners, samples, seed)])
    return percentile_interval(values_BS, confidence)
