"""Seeded intervals for losses in the order of days, which cluster: days are drawn in blocks.

Source: Politis & Romano 1994, doi:10.1080/01621459.1994.10476870 (the stationary bootstrap).
Legend: T days, B resamples, S statistics. Clients, which have no order, are resampled by core.statistics.bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from arch.bootstrap import optimal_block_length

from apps.risk.metrics.checks import check_at_least, check_not_infinite
from core.statistics.bootstrap import CONFIDENCE, SAMPLES, percentile_interval

# Below this many days an automatic length says nothing.
_FEWEST_DAYS = 20


def stationary_indices(
    days: int, mean_block: float, samples: int = SAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield, `samples` times, the days drawn, (T,) int64: blocks of geometric length, wrapped round the end.

    mean_block: mean length in days, 1 draws single days. The same seed gives the same draws.
    Raises ValueError unless 1 ≤ mean_block ≤ days and samples ≥ 1.
    """
    check_at_least("days", days, 1)
    check_at_least("samples", samples, 1)
    if not 1.0 <= mean_block <= days:
        raise ValueError(f"mean_block is {mean_block}, wanted between 1 and the {days} days")
    generator = np.random.default_rng(seed)
    step_T = np.arange(days)
    for _ in range(samples):
        begins_T = generator.random(days) < 1.0 / mean_block
        begins_T[0] = True
        begun_T = np.maximum.accumulate(np.where(begins_T, step_T, 0))
        first_T = generator.integers(days, size=days)
        yield (first_T[begun_T] + step_T - begun_T) % days


def stationary_weights(
    days: int, mean_block: float, samples: int = SAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield how often each day was drawn by `stationary_indices`, (T,) int64 that sum to the days."""
    for index_T in stationary_indices(days, mean_block, samples, seed):
        yield np.bincount(index_T, minlength=days)


def block_bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    days: int,
    mean_block: float,
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> np.ndarray:
    """Return the percentile interval, (2, S), of a statistic over resampled blocks of days.

    statistic: takes how often each day counts, (T,) int64, and returns (S,) numbers; NaN (a resample in which it
    is undefined) is left out.
    """
    weights = stationary_weights(days, mean_block, samples, seed)
    return percentile_interval(np.stack([statistic(weight_T) for weight_T in weights]), confidence)


def mean_loss_interval(
    loss_TS: np.ndarray,
    mean_block: float,
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> np.ndarray:
    """Return the interval, (2, S), of each column's mean loss; all columns share the days drawn.

    Missing losses (NaN) are left out of a column's mean. For a difference of models give the difference.
    Raises ValueError for infinities and for a column without a loss.
    """
    check_not_infinite(loss_TS=loss_TS)
    known_TS = ~np.isnan(loss_TS)
    empty = int(np.sum(~known_TS.any(axis=0)))
    if empty:
        raise ValueError(f"{empty} of {loss_TS.shape[1]} columns have no loss, wanted one day at least")
    filled_TS = np.where(known_TS, loss_TS, 0.0)

    def mean(weight_T: np.ndarray) -> np.ndarray:
        days_S = weight_T @ known_TS
        return np.where(days_S > 0, (weight_T @ filled_TS) / np.maximum(days_S, 1), np.nan)

    return block_bootstrap(mean, len(loss_TS), mean_block, samples, seed, confidence)


def mean_block_length(loss_T: np.ndarray) -> float:
    """Return the mean block length in days that suits one series of losses, between 1 and a third of the days.

    Source: Politis & White 2004, doi:10.1081/ETC-120028836, corrected by Patton, Politis & White 2009,
    doi:10.1080/07474930802459016. Missing days (NaN) are left out and their neighbours close up; a loss that
    never varies gives 1. Raises ValueError for infinities and for fewer than 20 days.
    """
    check_not_infinite(loss_T=loss_T)
    known_T = loss_T[~np.isnan(loss_T)]
    check_at_least("days with a loss", len(known_T), _FEWEST_DAYS)
    if np.ptp(known_T) == 0.0:
        return 1.0
    length = float(optimal_block_length(known_T / np.abs(known_T).max())["stationary"].iloc[0])
    return float(np.clip(length, 1.0, len(known_T) / 3))
