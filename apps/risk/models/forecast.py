"""What every model of the app hands over, and what follows from it: quantiles, VaR, ES, portfolios, an event.

Arrays alone: a network, a fitted GARCH and plain history give the same objects.
Legend: S paths, N entities, H steps of the horizon, Q quantile levels, L tail levels, P portfolios.
Returns are as the series has them (percent of log price for the samples); a VaR of 5 % is the 5 % quantile of the
return, mostly negative, and the ES the mean return below it, as apps.risk.metrics takes them.
Missing values: an entity without forecast has NaN in all its paths and a reason that says why; whatever follows
from it is NaN. Half a forecast is a defect and raises ValueError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TAIL_LEVELS = np.array([0.01, 0.025, 0.05])
# Of the quantiles that are reported; TAIL_LEVELS among them.
REPORTED_LEVELS = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995])


class Tail(NamedTuple):
    """VaR and expected shortfall of N entities at L levels, (N, L) each, es ≤ var; NaN where refused."""

    var_NL: np.ndarray
    es_NL: np.ndarray


@dataclass(frozen=True, eq=False)
class PathForecast:
    """S equally likely futures of N entities over H steps; in one path all entities live in the same world.

    path_SNH: float, finite, or NaN for an entity that was refused. reason_N: '' or a code; one for each NaN entity.
    Raises ValueError for other shapes, infinities, NaN in some paths of an entity alone, or NaN without a reason.
    """

    path_SNH: np.ndarray
    reason_N: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.path_SNH.ndim != 3 or 0 in (self.path_SNH.shape[0], self.path_SNH.shape[2]):
            raise ValueError(f"paths have shape {self.path_SNH.shape}, wanted (paths, entities, steps)")
        if len(self.reason_N) != self.path_SNH.shape[1]:
            raise ValueError(f"there are {len(self.reason_N)} reasons for {self.path_SNH.shape[1]} entities")
        missing_SNH = np.isnan(self.path_SNH)
        refused_N = missing_SNH.all(axis=(0, 2))
        partly = int(np.sum(missing_SNH.any(axis=(0, 2)) & ~refused_N))
        if partly or np.isinf(self.path_SNH).any():
            raise ValueError(
                f"{partly} entities are missing in part, or paths are infinite: wanted all or none"
            )
        unexplained = sum(
            not reason for reason, refused in zip(self.reason_N, refused_N, strict=True) if refused
        )
        if unexplained:
            raise ValueError(f"{unexplained} entities have no forecast and no reason, wanted a code for each")

    def quantile_NHQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return the quantiles of each step, (N, H, Q)."""
        return np.stack(
            [quantiles(self.path_SNH[:, :, h], level_Q) for h in range(self.path_SNH.shape[2])], axis=1
        )

    def tail(self, steps: int = 1, level_L: np.ndarray = TAIL_LEVELS) -> Tail:
        """Return VaR and ES of the sum over the first `steps` steps, 1 ≤ steps ≤ H."""
        if not 1 <= steps <= self.path_SNH.shape[2]:
            raise ValueError(f"steps is {steps}, wanted from 1 to the horizon, {self.path_SNH.shape[2]}")
        return tail_of(self.path_SNH[:, :, :steps].sum(axis=2), level_L)

    def portfolios(self, weight_PN: np.ndarray) -> PathForecast:
        """Return the forecast of P portfolios, entities of a new PathForecast.

        weight_PN: shares held, any sign and sum, at each step the same: exact for simple returns rebalanced at each
        step, to first order for log returns. A portfolio that holds an entity without forecast has none, for the
        reason `holds_refused`; an entity of weight 0 does not count.
        """
        if weight_PN.ndim != 2 or weight_PN.shape[1] != self.path_SNH.shape[1]:
            raise ValueError(
                f"weights have shape {weight_PN.shape}, wanted (portfolios, {self.path_SNH.shape[1]})"
            )
        if not np.isfinite(weight_PN).all():
            raise ValueError("a weight is missing or infinite, wanted finite shares, 0 where nothing is held")
        refused_N = np.isnan(self.path_SNH[0, :, 0])
        path_SPH = np.einsum("pn,snh->sph", weight_PN, np.where(refused_N[:, None], 0.0, self.path_SNH))
        refused_P = (weight_PN[:, refused_N] != 0.0).any(axis=1)
        path_SPH[:, refused_P] = np.nan
        return PathForecast(path_SPH, tuple("holds_refused" if refused else "" for refused in refused_P))


class Reason(NamedTuple):
    """Why a client stands above the average one: a feature, and by how much log-odds its bin does."""

    feature: str
    log_odds: float


@dataclass(frozen=True, eq=False)
class EventForecast:
    """pd_N: probability of the event for each client, 0..1, NaN where refused; reason_N: '' or a code.

    Raises ValueError for probabilities outside 0..1, and NaN without a reason.
    """

    pd_N: np.ndarray
    reason_N: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pd_N.shape != (len(self.reason_N),):
            raise ValueError(f"pd has shape {self.pd_N.shape} and there are {len(self.reason_N)} reasons")
        outside = int(np.sum((self.pd_N < 0.0) | (self.pd_N > 1.0)))
        if outside:
            raise ValueError(f"pd lies outside 0..1 {outside} times, wanted probabilities")
        unexplained = sum(not self.reason_N[n] for n in np.flatnonzero(np.isnan(self.pd_N)))
        if unexplained:
            raise ValueError(f"{unexplained} clients have no pd and no reason, wanted a code for each")


def quantiles(draw_SN: np.ndarray, level_Q: np.ndarray) -> np.ndarray:
    """Return the quantiles of S draws, (N, Q): the least draw with at least level × S draws at or below it.

    Inverse of the empirical distribution (Hyndman & Fan 1996, type 1, doi:10.1080/00031305.1996.10473566): a value
    that was drawn, and the one that `tail_of` needs. NaN where draws are NaN. Levels: 0 < level < 1.
    """
    order_Q = [rank_of(float(level), len(draw_SN)) - 1 for level in level_Q]
    return np.sort(draw_SN, axis=0)[order_Q].T


def tail_of(draw_SN: np.ndarray, level_L: np.ndarray = TAIL_LEVELS) -> Tail:
    """Return VaR and ES of S draws, (N, L) each: ES is the mean of the worst level × S draws.

    Where level × S is no whole number the last draw, which is the VaR, counts by the fraction that is left, so
    that es ≤ var (Acerbi & Tasche 2002, doi:10.1016/S0378-4266(02)00283-2). 0 < level < 1. NaN where draws are NaN.
    """
    sorted_XN = _lowest(draw_SN, level_L)
    var_LN, es_LN = [], []
    for level in level_L:
        share = float(level) * len(draw_SN)
        rank = rank_of(float(level), len(draw_SN))
        var_N = sorted_XN[rank - 1]
        deeper_N = np.sum(sorted_XN[: rank - 1] - var_N, axis=0) / share  # ≤ 0, exactly: es never above var
        var_LN.append(var_N)
        es_LN.append(var_N + deeper_N)
    return Tail(np.stack(var_LN, axis=1), np.stack(es_LN, axis=1))


def tail_errors(draw_SN: np.ndarray, level_L: np.ndarray = TAIL_LEVELS) -> Tail:
    """Return the standard errors that the number of draws leaves in `tail_of`, (N, L) each.

    Of VaR: half of what lies between the draws one binomial standard deviation of the rank below and above (a
    distribution-free interval; David & Nagaraja 2003, Order Statistics, section 7.1). Of ES: Manistre & Hancock 2005,
    doi:10.1080/10920277.2005.10596207. For independent draws; stratified ones, as here, err less.
    """
    S, sorted_XN, tail = len(draw_SN), _lowest(draw_SN, level_L), tail_of(draw_SN, level_L)
    var_LN, es_LN = [], []
    for index, level in enumerate(level_L.tolist()):
        rank, off = rank_of(level, S), max(round(math.sqrt(S * level * (1.0 - level))), 1)
        above_N, below_N = sorted_XN[rank + off - 1], sorted_XN[max(rank - off, 1) - 1]
        var_LN.append((above_N - below_N) / 2.0)
        spread_N = np.var(sorted_XN[:rank], axis=0)
        beyond_N = (tail.es_NL[:, index] - tail.var_NL[:, index]) ** 2
        es_LN.append(np.sqrt((spread_N + (1.0 - level) * beyond_N) / (level * S)))
    return Tail(np.stack(var_LN, axis=1), np.stack(es_LN, axis=1))


def rank_of(level: float, draws: int) -> int:
    """Return which of S sorted draws, from 1 on, is the quantile. Raises ValueError for a level outside 0..1."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, wanted above 0 and below 1")
    return math.ceil(round(level * draws, 9)) or 1  # rounded first: 0.05 × 1000 must not rise to 51


def _lowest(draw_SN: np.ndarray, level_L: np.ndarray) -> np.ndarray:
    """Return the lowest draws, rising, as many as tails of these levels and their errors look at; NaN comes last."""
    S, highest = len(draw_SN), float(level_L.max())
    count = min(rank_of(highest, S) + max(round(math.sqrt(S * highest * (1.0 - highest))), 1), S)
    return np.sort(np.partition(draw_SN, count - 1, axis=0)[:count], axis=0)
