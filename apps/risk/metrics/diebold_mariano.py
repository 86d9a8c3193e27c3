"""Is one forecast better than another, or is the difference of their losses chance.

Legend: T days, h steps of the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student_t

from apps.risk.metrics.checks import check_at_least, counted

Kernel = Literal["rectangular", "bartlett"]


@dataclass(frozen=True)
class LossComparison:
    """Two forecasts compared by their losses.

    mean_difference: of the first loss less the other, in the loss's unit: below 0 the first is better.
    statistic: with its sign; p_two_sided: of no difference; p_first_better: small where the first is better.
    lags: autocovariances in the variance. kernel: their weights, as used.
    """

    mean_difference: float
    statistic: float
    p_two_sided: float
    p_first_better: float
    days: int
    lags: int
    kernel: Kernel


def diebold_mariano(
    loss_T: np.ndarray,
    other_loss_T: np.ndarray,
    horizon: int = 1,
    lags: int | None = None,
    kernel: Kernel = "rectangular",
) -> LossComparison:
    """Test that two forecasts have the same expected loss.

    Sources: Diebold & Mariano 1995, doi:10.1080/07350015.1995.10524599; the correction for small samples and
    Student's t with T - 1 degrees of freedom: Harvey, Leybourne & Newbold 1997,
    doi:10.1016/S0169-2070(96)00719-4; Bartlett weights: Newey & West 1987, doi:10.2307/1913610.
    horizon: steps ahead, h; lags: of the long-run variance, h - 1 if None; losses that cluster (volatility) want
    more, and the Bartlett kernel. A rectangular variance that is not positive is taken again with Bartlett.
    A day missing in either loss is left out and its neighbours close up. Losses equal on all days: statistic 0,
    p-values 1 and 0.5; a difference that never varies: an infinite statistic.
    Raises ValueError for a loss that is infinite, and for fewer days than horizon + 1 or lags + 1 or 2.
    """
    check_at_least("horizon", horizon, 1)
    lags = horizon - 1 if lags is None else lags
    check_at_least("lags", lags, 0)
    counts = counted(loss_T, mask=~np.isnan(other_loss_T), other_loss_T=other_loss_T)
    difference_T = loss_T[counts] - other_loss_T[counts]
    days = len(difference_T)
    check_at_least("days that count", days, max(horizon + 1, lags + 1, 2))
    mean = float(difference_T.mean())
    covariance_L = _autocovariances(difference_T - mean, lags)
    variance = _long_run_variance(covariance_L, kernel)
    if kernel == "rectangular" and variance <= 0.0 and covariance_L[0] > 0.0:
        kernel = "bartlett"
        variance = _long_run_variance(covariance_L, kernel)
    correction = np.sqrt((days + 1 - 2 * horizon + horizon * (horizon - 1) / days) / days)
    statistic = _ratio(mean * correction, np.sqrt(max(variance, 0.0) / days))
    return LossComparison(
        mean_difference=mean,
        statistic=statistic,
        p_two_sided=float(2.0 * student_t.sf(abs(statistic), days - 1)),
        p_first_better=float(student_t.cdf(statistic, days - 1)),
        days=days,
        lags=lags,
        kernel=kernel,
    )


def _autocovariances(centred_T: np.ndarray, lags: int) -> np.ndarray:
    days = len(centred_T)
    return np.array([centred_T[lag:] @ centred_T[: days - lag] / days for lag in range(lags + 1)])


def _long_run_variance(covariance_L: np.ndarray, kernel: Kernel) -> float:
    lags = len(covariance_L) - 1
    weight_L = np.ones(lags) if kernel == "rectangular" else 1.0 - np.arange(1, lags + 1) / (lags + 1)
    return float(covariance_L[0] + 2.0 * weight_L @ covariance_L[1:])


def _ratio(mean: float, error: float) -> float:
    if mean == 0.0:
        return 0.0
    return mean / error if error > 0.0 else float(np.copysign(np.inf, mean))
