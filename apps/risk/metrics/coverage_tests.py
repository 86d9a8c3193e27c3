"""Does the VaR fail as often as it says, and independently: Kupiec, Christoffersen; p-values exact.

Returns and VaR are in return space (a 95 % VaR is the 5 % quantile of the return, mostly negative). A day
without a return is left out and its neighbours close up.
Legend: T days, B samples of hits, A arrangements that share x exceedances, r runs and the states of both ends.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy
from scipy.stats import binom, chi2

from apps.risk.metrics.checks import check_tail_level, counted
from apps.risk.metrics.results import BacktestResult

PValue = Literal["exact", "asymptotic"]
# Mass of exceedance counts too rare to be enumerated; it is added to the p-value, which stays an upper bound.
_RARE = 1e-13


def exceedances(return_T: np.ndarray, var_T: np.ndarray) -> np.ndarray:
    """Return 1 where the return fell below the VaR, 0 where not, NaN where there was no return; float64.

    Raises ValueError for a VaR missing beside a return (checks.counted).
    """
    counts = counted(return_T, var=var_T)
    return np.where(counts, (return_T < var_T).astype(np.float64), np.nan)


def kupiec(hit_T: np.ndarray, level: float) -> BacktestResult:
    """Test that the share of exceedances is the VaR's level: proportion of failures (POF).

    Source: Kupiec 1995, doi:10.3905/jod.1995.407942. level: the tail's probability, 0.05 for a 95 % VaR.
    p_value: exact, summed over the binomial law (the asymptotic test rejects a true 1 % VaR in 9.5 % of years
    of 250 days, not in 5 %). No exceedance is an ordinary result.
    """
    hit_BT = observed_hits(hit_T)
    return BacktestResult(
        statistic=float(_pof(hit_BT.sum(axis=1), hit_BT.shape[1], level)[0]),
        p_value=float(kupiec_p_values(hit_BT, level)[0]),
        p_asymptotic=float(kupiec_p_values(hit_BT, level, "asymptotic")[0]),
        days=hit_BT.shape[1],
        exceedances=int(hit_BT.sum()),
    )


def christoffersen_independence(hit_T: np.ndarray) -> BacktestResult:
    """Test that an exceedance does not make one on the next day more or less likely.

    Source: Christoffersen 1998, doi:10.2307/2527341, LR of independence against a first-order Markov chain.
    p_value: exact given the number of exceedances, under which all their arrangements are equally likely.
    Without an exceedance there is one arrangement: statistic 0, p-value 1. Needs two days.
    """
    hit_BT = observed_hits(hit_T)
    return BacktestResult(
        statistic=float(_independence(*_transitions(hit_BT))[0]),
        p_value=float(independence_p_values(hit_BT)[0]),
        p_asymptotic=float(independence_p_values(hit_BT, "asymptotic")[0]),
        days=hit_BT.shape[1],
        exceedances=int(hit_BT.sum()),
    )


def christoffersen_conditional_coverage(hit_T: np.ndarray, level: float) -> BacktestResult:
    """Test share and independence of exceedances together: the sum of the two likelihood ratios.

    Source: Christoffersen 1998, doi:10.2307/2527341; the share is taken over all days, as in `kupiec`.
    p_value: exact, over all arrangements of hits of probability `level`. Needs two days.
    """
    hit_BT = observed_hits(hit_T)
    share = _pof(hit_BT.sum(axis=1), hit_BT.shape[1], level)
    return BacktestResult(
        statistic=float((share + _independence(*_transitions(hit_BT)))[0]),
        p_value=float(conditional_coverage_p_values(hit_BT, level)[0]),
        p_asymptotic=float(conditional_coverage_p_values(hit_BT, level, "asymptotic")[0]),
        days=hit_BT.shape[1],
        exceedances=int(hit_BT.sum()),
    )


def kupiec_p_values(hit_BT: np.ndarray, level: float, p_value: PValue = "exact") -> np.ndarray:
    """Return `kupiec`'s p-value, (B,), of each row of complete hits (bool, or 0 and 1)."""
    hit_BT = complete_hits(hit_BT)
    days = hit_BT.shape[1]
    statistic_B = _pof(hit_BT.sum(axis=1), days, level)
    if p_value == "asymptotic":
        return np.asarray(chi2.sf(statistic_B, 1))
    x_A = np.arange(days + 1)
    return _tail_probability(_pof(x_A, days, level), binom.pmf(x_A, days, level), statistic_B)


def independence_p_values(hit_BT: np.ndarray, p_value: PValue = "exact") -> np.ndarray:
    """Return `christoffersen_independence`'s p-value, (B,), of each row of complete hits."""
    hit_BT = complete_hits(hit_BT)
    statistic_B = _independence(*_transitions(hit_BT))
    if p_value == "asymptotic":
        return np.asarray(chi2.sf(statistic_B, 1))
    p_B = np.full(len(hit_BT), np.nan)
    x_B = hit_BT.sum(axis=1)
    for x in np.unique(x_B):
        _, transitions_A, log_count_A = _arrangements(hit_BT.shape[1], np.array([x]))
        share_A = np.exp(log_count_A - np.logaddexp.reduce(log_count_A))
        p_B[x_B == x] = _tail_probability(_independence(*transitions_A), share_A, statistic_B[x_B == x])
    return p_B


def conditional_coverage_p_values(hit_BT: np.ndarray, level: float, p_value: PValue = "exact") -> np.ndarray:
    """Return `christoffersen_conditional_coverage`'s p-value, (B,), of each row of complete hits."""
    hit_BT = complete_hits(hit_BT)
    days = hit_BT.shape[1]
    statistic_B = _pof(hit_BT.sum(axis=1), days, level) + _independence(*_transitions(hit_BT))
    if p_value == "asymptotic":
        return np.asarray(chi2.sf(statistic_B, 2))
    likely = np.arange(binom.ppf(_RARE, days, level), binom.isf(_RARE, days, level) + 1, dtype=np.int64)
    x_A, transitions_A, log_count_A = _arrangements(days, likely)
    share_A = np.exp(log_count_A + xlogy(x_A, level) + xlog1py(days - x_A, -level))
    statistic_A = _pof(x_A, days, level) + _independence(*transitions_A)
    return np.minimum(_tail_probability(statistic_A, share_A, statistic_B) + 2.0 * _RARE, 1.0)


def observed_hits(hit_T: np.ndarray) -> np.ndarray:
    """Return the hits of the days that count as one row, (1, T) bool; missing days (NaN) are left out.

    Raises ValueError for another shape, values other than 0, 1 and NaN, and where no day counts.
    """
    if hit_T.ndim != 1:
        raise ValueError(f"hits have shape {hit_T.shape}, wanted one row of days")
    return complete_hits(hit_T[counted(hit_T.astype(np.float64))][None])


def complete_hits(hit_BT: np.ndarray) -> np.ndarray:
    """Return hits as bool, (B, T). Raises ValueError for another shape and values other than 0 and 1."""
    if hit_BT.ndim != 2 or hit_BT.size == 0:
        raise ValueError(f"hits have shape {hit_BT.shape}, wanted samples by days, one at least")
    if not np.all((hit_BT == 0) | (hit_BT == 1)):
        raise ValueError("a hit is neither 0 nor 1: give what `exceedances` returns, not returns")
    return hit_BT.astype(bool)


def _log_likelihood(misses: np.ndarray, hits: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the logarithm of the Bernoulli likelihood, with 0 log 0 = 0."""
    return np.asarray(xlog1py(misses, -p) + xlogy(hits, p))


def _share(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    return np.asarray(hits / np.maximum(hits + misses, 1))


def _pof(x: np.ndarray, days: int, level: float) -> np.ndarray:
    check_tail_level(level)
    misses = days - x
    best = _log_likelihood(misses, x, _share(x, misses))
    return np.maximum(2.0 * (best - _log_likelihood(misses, x, np.asarray(level))), 0.0)


def _transitions(hit_BT: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of steps calm → calm, calm → hit, hit → calm, hit → hit, each (B,)."""
    if hit_BT.shape[1] < 2:
        raise ValueError(f"independence over {hit_BT.shape[1]} day, wanted at least 2")
    before, after = hit_BT[:, :-1], hit_BT[:, 1:]
    n11 = np.sum(before & after, axis=1)
    n01 = after.sum(axis=1) - n11
    n10 = before.sum(axis=1) - n11
    return before.shape[1] - n11 - n01 - n10, n01, n10, n11


def _independence(n00: np.ndarray, n01: np.ndarray, n10: np.ndarray, n11: np.ndarray) -> np.ndarray:
    misses, hits = n00 + n10, n01 + n11
    chained = _log_likelihood(n00, n01, _share(n01, n00)) + _log_likelihood(n10, n11, _share(n11, n10))
    return np.maximum(2.0 * (chained - _log_likelihood(misses, hits, _share(hits, misses))), 0.0)


def _arrangements(
    days: int, exceedances_X: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Return exceedances (A,), steps as `_transitions`, and the logarithm of how many rows of hits have them.

    x hits in r runs fall among z = days - x calm days in m runs, m = r + 1 less one for each end that is a hit:
    C(x - 1, r - 1) C(z - 1, m - 1) rows.
    """
    blocks = []
    for x in exceedances_X:
        r, first, last = np.meshgrid(np.arange(1, x + 1), [0, 1], [0, 1], indexing="ij")
        blocks.append(np.stack([np.full(r.size, x), r.ravel(), first.ravel(), last.ravel()]))
        if x == 0:
            blocks.append(np.zeros((4, 1), dtype=np.int64))
    x, r, first, last = np.concatenate(blocks, axis=1)
    z, m = days - x, r + 1 - first - last
    m = np.where(x == 0, 1, m)
    possible = np.where(z == 0, m == 0, (m >= 1) & (m <= z))
    x, r, first, last, z, m = (values[possible] for values in (x, r, first, last, z, m))
    n11, n01, n10 = x - r, r - first, r - last
    log_count = _log_compositions(x, r) + _log_compositions(z, m)
    return x, (days - 1 - n11 - n01 - n10, n01, n10, n11), log_count


def _log_compositions(total: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return log C(total - 1, parts - 1): ways to write `total` as that many parts ≥ 1; 0 of 0 is one way."""
    n, k = np.maximum(total - 1, 0), np.maximum(parts - 1, 0)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _tail_probability(statistic_A: np.ndarray, share_A: np.ndarray, statistic_B: np.ndarray) -> np.ndarray:
    """Return, (B,), the probability of a statistic as large; equal ones count, whatever their last bits."""
    order = np.argsort(statistic_A)
    rest_A = np.append(np.cumsum(share_A[order][::-1])[::-1], 0.0)
    first_B = np.searchsorted(statistic_A[order], statistic_B - 1e-9 * (1.0 + statistic_B), side="left")
    return np.minimum(rest_A[first_B], 1.0)
