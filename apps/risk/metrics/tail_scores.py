"""Consistent losses of quantile, VaR and ES forecasts, elementwise: lower is better.

Returns and forecasts are in return space: a VaR of 5 % is the 5 % quantile of the return, mostly negative; the
ES is the mean return below it. Units are the caller's; figures in percent differ from figures in fractions.
"""

from __future__ import annotations

import numpy as np

from apps.risk.metrics.checks import check_share, check_tail_level, counted


def pinball_loss(
    actual: np.ndarray, quantile: np.ndarray, level: float, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the loss of a quantile forecast, same shape and unit as `actual`; its mean is least for the truth.

    Source: Koenker & Bassett 1978, doi:10.2307/1913643. level: 0 < level < 1.
    Missing outcomes give NaN; a missing forecast of an outcome that counts raises ValueError (checks.counted).
    """
    check_share("level", level)
    counts = counted(actual, mask, quantile=quantile)
    error = np.where(counts, actual, 0.0) - np.where(counts, quantile, 0.0)
    return np.where(counts, np.maximum(level * error, (level - 1.0) * error), np.nan)


def fissler_ziegel_loss(
    returns: np.ndarray, var: np.ndarray, es: np.ndarray, level: float, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the joint loss FZ0 of VaR and ES, same shape as `returns`; its mean is least for the true pair.

    Source: Patton, Ziegel & Chen 2019, doi:10.1016/j.jeconom.2018.10.008; the class is from
    Fissler & Ziegel 2016, doi:10.1214/16-AOS1439. Differences between models do not depend on the unit, the
    loss itself shifts by the logarithm of the unit.
    Raises ValueError unless es < 0 and es ≤ var wherever the return counts. Missing returns give NaN; a missing
    forecast of a return that counts raises ValueError (checks.counted).
    """
    check_tail_level(level)
    counts = counted(returns, mask, var=var, es=es)
    positive = int(np.sum(counts & (es >= 0.0)))
    if positive:
        raise ValueError(
            f"es is 0 or above {positive} times, wanted negative returns: losses are negative here"
        )
    crossed = int(np.sum(counts & (es > var)))
    if crossed:
        raise ValueError(f"es lies above var {crossed} times, wanted es ≤ var everywhere")
    depth = np.where(counts, -es, 1.0)
    threshold = np.where(counts, var, 0.0)
    shortfall = np.maximum(threshold - np.where(counts, returns, 0.0), 0.0)
    return np.where(counts, (shortfall / level - threshold) / depth + np.log(depth) - 1.0, np.nan)
