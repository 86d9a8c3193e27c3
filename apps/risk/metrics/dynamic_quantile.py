"""Can today's exceedance be predicted from past ones and from the VaR itself: Engle & Manganelli's test.

Legend: T days, L lags, K regressors (constant, L lagged hits, VaR), B samples of hits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import chi2

from apps.risk.metrics.checks import check_at_least, check_not_infinite, check_tail_level, counted
from apps.risk.metrics.coverage_tests import complete_hits, exceedances
from apps.risk.metrics.results import BacktestResult

LAGS = 4
DRAWS = 1999
PValue = Literal["monte_carlo", "asymptotic"]
# Rows of simulated hits worked on together: bounds memory, changes no draw.
_CHUNK = 500
# A regressor this much weaker than the strongest is a combination of the others (squared: it meets X'X).
_SINGULAR = 1e-10


def dynamic_quantile(
    return_T: np.ndarray,
    var_T: np.ndarray,
    level: float,
    lags: int = LAGS,
    draws: int = DRAWS,
    seed: int = 0,
) -> BacktestResult:
    """Test that hits less their level are uncorrelated with a constant, `lags` past hits, and the day's VaR.

    Source: Engle & Manganelli 2004, doi:10.1198/073500104000000370, out-of-sample test with
    DQ = Hit' X (X'X)⁻ X' Hit / (level (1 - level)), chi-squared with the rank of X. A VaR that never moves and
    lags without a hit lower the rank; no exceedance at all is an ordinary result.
    p_value: Monte Carlo with `draws` rows of independent hits of probability `level` beside the given VaR, after
    Dufour 2006, doi:10.1016/j.jeconom.2005.06.007: (1 + rows with as large a DQ) / (1 + draws); the asymptotic
    one is far off where hits are rare.
    A day without a return is left out and its neighbours close up. Raises ValueError for a VaR missing beside a
    return, and for fewer than lags + 2 days.
    """
    check_tail_level(level)
    counts = counted(return_T, var_T=var_T)
    hit_BT = complete_hits(exceedances(return_T[counts], var_T[counts])[None])
    statistic_B, rank_B = _statistic(hit_BT, level, var_T[counts], lags)
    p_B = _monte_carlo(statistic_B, hit_BT.shape[1], level, var_T[counts], lags, draws, seed)
    return BacktestResult(
        statistic=float(statistic_B[0]),
        p_value=float(p_B[0]),
        p_asymptotic=float(chi2.sf(statistic_B[0], rank_B[0])),
        days=hit_BT.shape[1],
        exceedances=int(hit_BT.sum()),
    )


def dynamic_quantile_p_values(
    hit_BT: np.ndarray,
    level: float,
    var_T: np.ndarray | None = None,
    lags: int = LAGS,
    p_value: PValue = "monte_carlo",
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """Return `dynamic_quantile`'s p-value, (B,), of each row of complete hits beside one path of VaR.

    var_T: None leaves the VaR out of the regressors. All rows share one Monte Carlo law.
    """
    hit_BT = complete_hits(hit_BT)
    check_tail_level(level)
    var_T = np.zeros(hit_BT.shape[1]) if var_T is None else var_T
    statistic_B, rank_B = _statistic(hit_BT, level, var_T, lags)
    if p_value == "asymptotic":
        return np.asarray(chi2.sf(statistic_B, rank_B))
    return _monte_carlo(statistic_B, hit_BT.shape[1], level, var_T, lags, draws, seed)


def _monte_carlo(
    statistic_B: np.ndarray, days: int, level: float, var_T: np.ndarray, lags: int, draws: int, seed: int
) -> np.ndarray:
    check_at_least("draws", draws, 1)
    generator = np.random.default_rng(seed)
    null = np.sort(
        np.concatenate(
            [
                _statistic(generator.random((min(_CHUNK, draws - done), days)) < level, level, var_T, lags)[0]
                for done in range(0, draws, _CHUNK)
            ]
        )
    )
    as_large_B = draws - np.searchsorted(null, statistic_B * (1.0 - 1e-9), side="left")
    return np.asarray((1 + as_large_B) / (1 + draws))


def _statistic(
    hit_BT: np.ndarray, level: float, var_T: np.ndarray, lags: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return DQ and the rank of the regressors, (B,) each."""
    check_at_least("lags", lags, 0)
    check_at_least("days that count", hit_BT.shape[1], lags + 2)
    check_not_infinite(var_T=var_T)
    days = hit_BT.shape[1]
    centred_BT = hit_BT.astype(np.float64) - level
    var_T = _standardised(var_T[lags:])
    columns = [np.ones_like(centred_BT[:, lags:])]
    columns += [centred_BT[:, lags - lag : days - lag] for lag in range(1, lags + 1)]
    columns += [np.broadcast_to(var_T, columns[0].shape)]
    today_BT = centred_BT[:, lags:]
    gram_BKK = np.empty((len(hit_BT), len(columns), len(columns)))
    moment_BK = np.stack([_dot(column, today_BT) for column in columns], axis=1)
    for i, left in enumerate(columns):
        for j, right in enumerate(columns[: i + 1]):
            gram_BKK[:, i, j] = gram_BKK[:, j, i] = _dot(left, right)
    value_BK, vector_BKK = np.linalg.eigh(gram_BKK)
    kept_BK = value_BK > _SINGULAR * value_BK[:, -1:]
    along_BK = np.einsum("bki,bk->bi", vector_BKK, moment_BK)
    fit_BK = np.where(kept_BK, along_BK**2 / np.where(kept_BK, value_BK, 1.0), 0.0)
    return fit_BK.sum(axis=1) / (level * (1.0 - level)), kept_BK.sum(axis=1)


def _dot(left_BT: np.ndarray, right_BT: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("bt,bt->b", left_BT, right_BT))


def _standardised(var_T: np.ndarray) -> np.ndarray:
    """Return the VaR with mean 0 and variance 1, zeros if it never moves: beside a constant the span is the same."""
    largest = np.abs(var_T).max()
    if np.ptp(var_T) <= 1e-12 * largest:
        return np.zeros(len(var_T))
    centred_T = var_T / largest - np.mean(var_T / largest)
    return np.asarray(centred_T / np.sqrt(np.mean(centred_T**2)))
