"""A law as S equally likely values whose quantiles and expected shortfalls are the law's own, not those of a sample.

Each value is the mean of one of S strata of equal probability, so that means of the worst ones are exact; at the levels
that are reported it is the quantile itself, and its stratum's neighbours give back the difference. What is counted from
paths of such values, for one series or a portfolio of one, then is what the closed form says.
Legend: S strata, K levels that are reported.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from apps.risk.models.forecast import REPORTED_LEVELS, TAIL_LEVELS, rank_of

Law = Callable[[np.ndarray], np.ndarray]


def strata(quantile: Law, below: Law, count: int) -> np.ndarray:
    """Return the values of S strata, (…, S), rising but for ties.

    quantile: of levels (K,) the quantiles, (…, K). below: of levels (K,), 0 and 1 among them, the integral of the
    quantile function from 0 to each, (…, K): the level times the mean below its quantile. Of few strata those levels
    count that have one of their own.
    """
    level_by_rank = _levels_by_rank(count)
    level_K = np.array(list(level_by_rank.values()))
    quantile_K, below_K = quantile(level_K), below(level_K)
    edge_S1 = np.arange(count + 1) / count
    value_S = count * np.diff(below(edge_S1), axis=-1)
    end_K = [*level_by_rank, count + 1]
    first, sum_before = 1, np.zeros(value_S.shape[:-1])  # of the values between two levels, counted from 1
    for index, rank in enumerate(end_K):
        if rank <= count:
            # as many values lie below the level's own as make `forecast.tail_of` say what the law does
            over = count * level_K[index] - (rank - 1)
            wanted = count * below_K[..., index] - over * quantile_K[..., index]
        else:
            wanted = count * below(np.ones(1))[..., 0]
        free = slice(first - 1, rank - 1)
        if rank > first:
            missing = wanted - sum_before - value_S[..., free].sum(axis=-1)
            value_S[..., free] += (missing / (rank - first))[..., None]
        sum_before = wanted
        if rank <= count:
            value_S[..., rank - 1] = quantile_K[..., index]
            sum_before = wanted + quantile_K[..., index]
        first = rank + 1
    return value_S


def _levels_by_rank(count: int) -> dict[int, float]:
    """Return rank → level of the values that are quantiles, by rank: those asked for, and their mirror images.

    A mirror image is what somebody who has sold the series is asked for. Those of VaR come first; another level needs
    a stratum between it and them.
    """
    level_by_rank: dict[int, float] = {}
    sides = (*TAIL_LEVELS.tolist(), *(1.0 - TAIL_LEVELS).tolist())
    for level in (*sides, *REPORTED_LEVELS.tolist()):
        ranks = {rank_of(level, count), count + 1 - rank_of(1.0 - level, count)}
        near = {rank + step for rank in ranks for step in (-1, 0, 1)} - ranks
        if 1 in ranks or count in ranks:
            continue  # an outermost stratum stands for a whole tail: its mean counts
        if level in sides or not (near | ranks) & level_by_rank.keys():
            level_by_rank |= dict.fromkeys(ranks - level_by_rank.keys(), level)
    return dict(sorted(level_by_rank.items()))
