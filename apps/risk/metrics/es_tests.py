"""Is the loss beyond the VaR as large as the ES says: Acerbi & Szekely's first two tests, p-values simulated.

Returns, VaR and ES are in return space (losses negative). Both statistics have mean 0 for true forecasts and
fall below 0 where the risk is underestimated; the tests are one-sided.
Legend: T days, S draws of each day's return, independent over days, Q quantile levels.
"""

from __future__ import annotations

import numpy as np

from apps.risk.metrics.checks import (
    check_at_least,
    check_not_infinite,
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


def draws_from_quantiles(
    quantile_TQ: np.ndarray, level_Q: np.ndarray, draws: int, seed: int = 0
) -> np.ndarray:
    """Return draws, (S, T), of each day's return from its quantiles, independent over days.

    Between two levels the quantile function is a straight line; beyond the outermost it goes on in proportion to
    the logarithm of the level (an exponential tail through the two outermost quantiles). Tails fatter than that
    need draws of the model's own.
    quantile_TQ: rising along Q, a whole row missing (NaN) where the day has no forecast: its draws are NaN.
    Raises ValueError for levels that do not rise within (0, 1), fewer than two, crossing quantiles, a row missing
    in part, infinities.
    """
    check_at_least("draws", draws, 1)
    check_same_shape(level_Q=level_Q, quantile_TQ=quantile_TQ[0])
    check_at_least("quantile levels", len(level_Q), 2)
    if not (np.all(np.diff(level_Q) > 0.0) and level_Q[0] > 0.0 and level_Q[-1] < 1.0):
        raise ValueError(f"levels are {level_Q.tolist()}, wanted rising between 0 and 1")
    check_not_infinite(quantile_TQ=quantile_TQ)
    lost_T = np.isnan(quantile_TQ).any(axis=1)
    if not np.isnan(quantile_TQ[lost_T]).all():
        raise ValueError("a day has some of its quantiles, wanted all or none (NaN)")
    if np.any(np.diff(quantile_TQ[~lost_T], axis=1) < 0.0):
        raise ValueError("quantiles cross, wanted rising with the level")
    u_ST = np.random.default_rng(seed).random((draws, len(quantile_TQ)))
    return np.stack(
        [_inverse(u_S, row_Q, level_Q) for u_S, row_Q in zip(u_ST.T, quantile_TQ, strict=True)], 1
    )


def _inverse(u_S: np.ndarray, quantile_Q: np.ndarray, level_Q: np.ndarray) -> np.ndarray:
    low = np.log(np.maximum(u_S, np.finfo(float).tiny) / level_Q[0]) / np.log(level_Q[1] / level_Q[0])
    high = np.log((1.0 - u_S) / (1.0 - level_Q[-1])) / np.log((1.0 - level_Q[-2]) / (1.0 - level_Q[-1]))
    drawn_S = np.interp(u_S, level_Q, quantile_Q)
    drawn_S = np.where(u_S < level_Q[0], quantile_Q[0] + (quantile_Q[1] - quantile_Q[0]) * low, drawn_S)
    return np.where(u_S > level_Q[-1], quantile_Q[-1] - (quantile_Q[-1] - quantile_Q[-2]) * high, drawn_S)


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
