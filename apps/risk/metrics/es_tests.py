"""Is the loss beyond the VaR as large as the ES says: Acerbi & Szekely's first two tests, p-values simulated.

Returns, VaR and ES are in return space (losses negative). Both statistics have mean 0 for true forecasts and
fall below 0 where the risk is underestimated; the tests are one-sided.
Legend: T days, S draws of each day's return, independent over days.
"""

from __future__ import annotations

import numpy as np

from apps.risk.metrics.checks import (
    check_same_shape,
    check_tail_level,
    counted,
)
from apps.risk.metrics.results import BacktestResult


def acerbi_szekely_z1(
    return_T: np.ndarray, var_T: np.ndarray, es_T: np.ndarray, draw_ST: np.ndarray
) -> BacktestResult:
    """Test the mean ratio of return to ES over the exceedances alone; the VaR is to be tested beside it.

    Source: Acerbi & Szekely 2014, "Backtesting expected shortfall", Risk magazine and MSCI, test 1:
    Z1 = 1 - mean of return / ES. draw_ST: returns drawn from each day's forecast; draws without an exceedance
    are left out. p_value: (1 + draws with as low a Z1) / (1 + draws). Without an exceedance statistic and
    p-value are NaN. A day without a return is left out.
    Raises ValueError unless es < 0 and es ≤ var, and for a missing draw or forecast of a day that counts.
    """
    return_T, var_T, es_T, draw_ST = _days_that_count(return_T, var_T, es_T, draw_ST)
    return _result(_z1(return_T[None], var_T, es_T), _z1(draw_ST, var_T, es_T), return_T, var_T)


def acerbi_szekely_z2(
    return_T: np.ndarray, var_T: np.ndarray, es_T: np.ndarray, level: float, draw_ST: np.ndarray
) -> BacktestResult:
    """Test frequency and size of the exceedances together.

    Source: Acerbi & Szekely 2014 (see `acerbi_szekely_z1`), test 2:
    Z2 = 1 - sum over exceedances of return / ES, divided by level × days. At 2.5 % and 250 days the paper's
    critical value of 5 % is about -0.7 for most tails. No exceedance gives 1.
    Draws, p-value, missing days and errors: as `acerbi_szekely_z1`.
    """
    check_tail_level(level)
    return_T, var_T, es_T, draw_ST = _days_that_count(return_T, var_T, es_T, draw_ST)
    return _result(_z2(return_T[None], var_T, es_T, level), _z2(draw_ST, var_T, es_T, level), return_T, var_T)


def _z1(return_ST: np.ndarray, var_T: np.ndarray, es_T: np.ndarray) -> np.ndarray:
    hit_ST = return_ST < var_T
    hits_S = hit_ST.sum(axis=1)
    total_S = np.sum(return_ST / es_T, axis=1, where=hit_ST)
    return np.where(hits_S > 0, 1.0 - total_S / np.maximum(hits_S, 1), np.nan)


def _z2(return_ST: np.ndarray, var_T: np.ndarray, es_T: np.ndarray, level: float) -> np.ndarray:
    total_S = np.sum(return_ST / es_T, axis=1, where=return_ST < var_T)
    return np.asarray(1.0 - total_S / (level * len(es_T)))


def _days_that_count(
    return_T: np.ndarray, var_T: np.ndarray, es_T: np.ndarray, draw_ST: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    if draw_ST.ndim != 2 or len(draw_ST) == 0:
        raise ValueError(f"draws have shape {draw_ST.shape}, wanted draws by days, one at least")
    counts = counted(return_T, var_T=var_T, es_T=es_T)
    check_same_shape(return_T=return_T, draws_of_a_day=draw_ST[0])
    draw_ST, es_T, var_T = draw_ST[:, counts], es_T[counts], var_T[counts]
    if not np.all(np.isfinite(draw_ST)):
        raise ValueError("a draw is missing or infinite where the return counts, wanted finite draws")
    bad = int(np.sum((es_T >= 0.0) | (es_T > var_T)))
    if bad:
        raise ValueError(f"es is 0 or above, or above var, {bad} times, wanted es < 0 and es ≤ var")
    return return_T[counts], var_T, es_T, draw_ST


def _result(
    statistic_1: np.ndarray, statistic_S: np.ndarray, return_T: np.ndarray, var_T: np.ndarray
) -> BacktestResult:
    statistic = float(statistic_1[0])
    defined_S = statistic_S[~np.isnan(statistic_S)]
    p_value = (1 + int(np.sum(defined_S <= statistic))) / (1 + len(defined_S))
    return BacktestResult(
        statistic=statistic,
        p_value=float("nan") if np.isnan(statistic) else p_value,
        p_asymptotic=float("nan"),
        days=len(return_T),
        exceedances=int(np.sum(return_T < var_T)),
    )
