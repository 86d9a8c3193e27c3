"""Accuracy of forecasts over many series: MASE, quantile losses, WQL.

Legend: N series, T past steps, H steps of the horizon, Q quantile levels. weight_N: how often each series counts,
so that core.statistics.bootstrap gives intervals over series; None counts each once.
Missing values: an outcome that is NaN or masked is left out; a missing forecast of an outcome that counts raises
ValueError, as do infinities, shapes that differ and a whole set without an outcome (checks.counted).
"""

from __future__ import annotations

import numpy as np

from apps.risk.metrics.checks import (
    check_at_least,
    check_not_infinite,
    check_same_shape,
    check_share,
    check_weights,
    counted,
)
from apps.risk.metrics.tail_scores import pinball_loss


def seasonal_naive_scale(history_NT: np.ndarray, season: int) -> np.ndarray:
    """Return the in-sample mean absolute change over one season, (N,): what MASE divides by.

    season: steps, 1 for none, 24 for hours of a day. Shorter histories are filled with NaN on the left; a change
    counts where both ends are known. NaN where none does; 0 for a series that repeats itself.
    Raises ValueError for fewer than season + 1 steps, and infinities.
    """
    check_at_least("season", season, 1)
    check_at_least("steps of history", history_NT.shape[1], season + 1)
    check_not_infinite(history_NT=history_NT)
    change_NT = np.abs(history_NT[:, season:] - history_NT[:, :-season])
    known_NT = ~np.isnan(change_NT)
    return _ratio(np.sum(change_NT, axis=1, where=known_NT), known_NT.sum(axis=1))


def mase_by_series(
    actual_NH: np.ndarray, forecast_NH: np.ndarray, scale_N: np.ndarray, mask_NH: np.ndarray | None = None
) -> np.ndarray:
    """Return the mean absolute scaled error of each series, (N,).

    Source: Hyndman & Koehler 2006, doi:10.1016/j.ijforecast.2006.03.001. forecast_NH: the median, in the unit of
    `actual_NH`; scale_N: `seasonal_naive_scale` of what was known before.
    NaN where a series has no outcome, no scale, or scale 0.
    """
    counts_NH = counted(actual_NH, mask_NH, forecast_NH=forecast_NH)
    check_same_shape(scale_N=scale_N, series=actual_NH[:, 0])
    check_not_infinite(scale_N=scale_N)
    error_NH = np.abs(np.where(counts_NH, actual_NH, 0.0) - np.where(counts_NH, forecast_NH, 0.0))
    mean_N = _ratio(error_NH.sum(axis=1), counts_NH.sum(axis=1))
    return _ratio(mean_N, np.where(scale_N > 0.0, scale_N, 0.0))


def mase(
    actual_NH: np.ndarray,
    forecast_NH: np.ndarray,
    scale_N: np.ndarray,
    mask_NH: np.ndarray | None = None,
    weight_N: np.ndarray | None = None,
) -> float:
    """Return the mean over series of `mase_by_series`; series without one are left out, NaN if none has one."""
    value_N = mase_by_series(actual_NH, forecast_NH, scale_N, mask_NH)
    weight_N = np.where(np.isnan(value_N), 0.0, check_weights(weight_N, len(value_N)))
    return float(_ratio(np.sum(weight_N * np.nan_to_num(value_N)), weight_N.sum()))


def quantile_losses(
    actual_NH: np.ndarray,
    quantile_NHQ: np.ndarray,
    level_Q: np.ndarray,
    mask_NH: np.ndarray | None = None,
    weight_N: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean pinball loss of each level, (Q,), over all outcomes that count, in the unit of `actual_NH`.

    Source: Koenker & Bassett 1978, doi:10.2307/1913643. NaN where all weights are 0.
    """
    _check_levels(level_Q, quantile_NHQ)
    weight_NH = _point_weights(actual_NH, mask_NH, weight_N)
    losses = [
        np.sum(
            weight_NH * np.nan_to_num(pinball_loss(actual_NH, quantile_NHQ[..., q], float(level), mask_NH))
        )
        for q, level in enumerate(level_Q)
    ]
    return _ratio(np.array(losses), weight_NH.sum())


def weighted_quantile_loss(
    actual_NH: np.ndarray,
    quantile_NHQ: np.ndarray,
    level_Q: np.ndarray,
    mask_NH: np.ndarray | None = None,
    weight_N: np.ndarray | None = None,
) -> float:
    """Return WQL: twice the pinball loss summed over all outcomes, by the sum of their sizes, mean over levels.

    Source: Salinas et al. 2020 (DeepAR, ρ-risk), doi:10.1016/j.ijforecast.2019.07.001, averaged over levels as in
    Ansari et al. 2024 (Chronos), arXiv:2403.07815. Large series weigh more. NaN where all outcomes are 0.
    """
    loss_Q = quantile_losses(actual_NH, quantile_NHQ, level_Q, mask_NH, weight_N)
    weight_NH = _point_weights(actual_NH, mask_NH, weight_N)
    size = np.sum(weight_NH * np.abs(np.where(weight_NH > 0.0, actual_NH, 0.0)))
    return float(_ratio(2.0 * loss_Q.mean() * weight_NH.sum(), size))


def _point_weights(
    actual_NH: np.ndarray, mask_NH: np.ndarray | None, weight_N: np.ndarray | None
) -> np.ndarray:
    """Return the weight of each outcome, (N, H), 0 where it does not count."""
    return np.asarray(counted(actual_NH, mask_NH) * check_weights(weight_N, len(actual_NH))[:, None])


def _check_levels(level_Q: np.ndarray, quantile_NHQ: np.ndarray) -> None:
    if quantile_NHQ.ndim != 3 or level_Q.shape != quantile_NHQ.shape[2:] or len(level_Q) == 0:
        raise ValueError(
            f"levels have shape {level_Q.shape}, quantiles {quantile_NHQ.shape}, wanted one level a quantile"
        )
    for level in level_Q:
        check_share("level", float(level))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below, NaN where below is 0."""
    return np.asarray(np.where(below == 0.0, np.nan, above / np.where(below == 0.0, 1.0, below)))
