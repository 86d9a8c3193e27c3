"""Draws of returns from forecasts of VaR and ES alone, for tests whose p-values are simulated.

Legend: T days, S draws, L levels.
"""

from __future__ import annotations

import numpy as np

from apps.risk.metrics.checks import check_at_least, check_not_infinite, check_same_shape, check_tail_level

TAIL_SHAPE = (
    0.25  # a tail index of 4, as of daily returns (Cont 2001, doi:10.1080/713665670: between 2 and 5)
)


def draws_from_tail(
    var_TL: np.ndarray, es_TL: np.ndarray, level_L: np.ndarray, draws: int, seed: int = 0
) -> np.ndarray:
    """Return draws, (S, T), that have the VaR and the ES forecast at each level, independent over days.

    Below the lowest VaR the excess is generalised Pareto of shape TAIL_SHAPE with the forecast's mean; between two
    levels it is a power of a uniform draw with the mean that both ES imply. Above the highest VaR nothing is forecast:
    a draw there is the VaR itself plus one unit of its distance to the ES, so that it never counts as an exceedance.
    level_L: rising. A day with a missing forecast (NaN) has NaN draws.
    Raises ValueError for shapes that differ, levels that do not rise within (0, 0.5], VaR that falls along the levels,
    es above var, and infinities.
    """
    check_at_least("draws", draws, 1)
    check_same_shape(var_TL=var_TL, es_TL=es_TL)
    check_same_shape(level_L=level_L, var_of_a_day=var_TL[0])
    check_not_infinite(var_TL=var_TL, es_TL=es_TL)
    check_tail_level(float(level_L[0]))
    check_tail_level(float(level_L[-1]))
    if np.any(np.diff(level_L) <= 0.0):
        raise ValueError(f"levels are {level_L.tolist()}, wanted rising")
    if np.any(np.diff(var_TL, axis=1) < 0.0) or np.any(es_TL > var_TL):
        raise ValueError("wanted var that rises with the level, and es ≤ var")
    uniform_ST = np.random.default_rng(seed).random((draws, len(var_TL)))
    share_ST = np.maximum(uniform_ST / level_L[0], 1e-12)  # of the lowest tail, 0..1 within it
    mean_T = var_TL[:, 0] - es_TL[:, 0]
    excess_ST = (share_ST**-TAIL_SHAPE - 1.0) * mean_T * (1.0 - TAIL_SHAPE) / TAIL_SHAPE
    draw_ST = np.where(uniform_ST < level_L[0], var_TL[:, 0] - np.maximum(excess_ST, 0.0), np.nan)
    for low in range(len(level_L) - 1):
        weight = level_L[low + 1] - level_L[low]
        middle_T = (level_L[low + 1] * es_TL[:, low + 1] - level_L[low] * es_TL[:, low]) / weight
        width_T = var_TL[:, low + 1] - var_TL[:, low]
        wide_T = width_T > 0.0
        share_T = np.where(wide_T, (middle_T - var_TL[:, low]) / np.where(wide_T, width_T, 1.0), 0.5)
        share_T = np.clip(share_T, 0.02, 0.98)  # forecasts of another family may imply a mean outside
        inside_ST = (uniform_ST >= level_L[low]) & (uniform_ST < level_L[low + 1])
        within_ST = np.where(inside_ST, (uniform_ST - level_L[low]) / weight, 0.0)
        power_T = 1.0 / share_T - 1.0
        draw_ST = np.where(inside_ST, var_TL[:, low] + width_T * within_ST**power_T, draw_ST)
    above_T = var_TL[:, -1] + (var_TL[:, -1] - es_TL[:, -1])
    draw_ST = np.where(uniform_ST >= level_L[-1], above_T, draw_ST)
    lost_T = np.isnan(var_TL).any(axis=1) | np.isnan(es_TL).any(axis=1)
    draw_ST[:, lost_T] = np.nan
    return draw_ST
