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
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

TAIL_LEVELS = np.array([0.01, 0.025, 0.05])


class Tail(NamedTuple):
    """VaR and expected shortfall of N entities at L levels, (N, L) each, es ≤ var; NaN where refused."""

    var_NL: np.ndarray
    es_NL: np.ndarray


class QuantileForecast(Protocol):
    """What all models have: quantiles of each entity at each step, and the reasons."""

    @property
    def reason_N(self) -> tuple[str, ...]:
        """Of each entity '' or the code of what stood in the way: a fallback, or a refusal (NaN)."""

    def quantile_NHQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return quantiles, (N, H, Q), rising along Q if the levels do."""


class OneStep(Protocol):
    """A distribution of the first step in closed form, where a model has one: no noise of simulation in it."""

    def quantile_NQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return quantiles, (N, Q)."""

    def es_NL(self, level_L: np.ndarray) -> np.ndarray:
        """Return expected shortfalls, (N, L)."""


@dataclass(frozen=True, eq=False)
class PathForecast:
    """S equally likely futures of N entities over H steps; in one path all entities live in the same world.

    path_SNH: float, finite, or NaN for an entity that was refused. reason_N: '' or a code; one for each NaN entity.
    first: closed form of the first step, which then counts instead of the paths for one entity and one step.
    Raises ValueError for other shapes, infinities, NaN in some paths of an entity alone, or NaN without a reason.
    """

    path_SNH: np.ndarray
    reason_N: tuple[str, ...]
    first: OneStep | None = field(default=None)

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
        silent = sum(not reason for reason, refused in zip(self.reason_N, refused_N, strict=True) if refused)
        if silent:
            raise ValueError(f"{silent} entities have no forecast and no reason, wanted a code for each")

    def quantile_NHQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return the quantiles of each step, (N, H, Q); of the first from its closed form, where there is one."""
        out_NHQ = np.stack(
            [quantiles(self.path_SNH[:, :, h], level_Q) for h in range(self.path_SNH.shape[2])], axis=1
        )
        if self.first is not None:
            out_NHQ[:, 0] = self.first.quantile_NQ(level_Q)
        return out_NHQ

    def tail(self, steps: int = 1, level_L: np.ndarray = TAIL_LEVELS) -> Tail:
        """Return VaR and ES of the sum over the first `steps` steps, 1 ≤ steps ≤ H."""
        if not 1 <= steps <= self.path_SNH.shape[2]:
            raise ValueError(f"steps is {steps}, wanted from 1 to the horizon, {self.path_SNH.shape[2]}")
        if steps == 1 and self.first is not None:
            return Tail(self.first.quantile_NQ(level_L), self.first.es_NL(level_L))
        return tail_of(self.path_SNH[:, :, :steps].sum(axis=2), level_L)

    def portfolios(self, weight_PN: np.ndarray) -> PathForecast:
        """Return the forecast of P portfolios, entities of a new PathForecast.

        weight_PN: shares held, any sign and sum, at each step the same: exact for simple returns rebalanced at each
        step, to first order for log returns. A portfolio that holds an entity without forecast has none, for the
        reason `holds_refused`; an entity of weight 0 is not looked at.
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
        silent = sum(not self.reason_N[n] for n in np.flatnonzero(np.isnan(self.pd_N)))
        if silent:
            raise ValueError(f"{silent} clients have no pd and no reason, wanted a code for each")


def quantiles(draw_SN: np.ndarray, level_Q: np.ndarray) -> np.ndarray:
    """Return the quantiles of S draws, (N, Q): the least draw with at least level × S draws at or below it.

    Inverse of the empirical distribution (Hyndman & Fan 1996, type 1, doi:10.1080/00031305.1996.10473566): a value
    that was drawn, and the one that `tail_of` needs. NaN where draws are NaN. Levels: 0 < level < 1.
    """
    order_Q = [_rank(float(level), len(draw_SN)) - 1 for level in level_Q]
    return np.sort(draw_SN, axis=0)[order_Q].T


def tail_of(draw_SN: np.ndarray, level_L: np.ndarray = TAIL_LEVELS) -> Tail:
    """Return VaR and ES of S draws, (N, L) each: ES is the mean of the worst level × S draws.

    Where level × S is no whole number the last draw, which is the VaR, counts by the fraction that is left, so
    that es ≤ var (Acerbi & Tasche 2002, doi:10.1016/S0378-4266(02)00283-2). 0 < level < 1. NaN where draws are NaN.
    """
    sorted_SN = np.sort(draw_SN, axis=0)
    var_LN, es_LN = [], []
    for level in level_L:
        share = float(level) * len(sorted_SN)
        rank = _rank(float(level), len(sorted_SN))
        var_N = sorted_SN[rank - 1]
        deeper_N = np.sum(sorted_SN[: rank - 1] - var_N, axis=0) / share  # ≤ 0, exactly: es never above var
        var_LN.append(var_N)
        es_LN.append(var_N + deeper_N)
    return Tail(np.stack(var_LN, axis=1), np.stack(es_LN, axis=1))


def _rank(level: float, draws: int) -> int:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, wanted above 0 and below 1")
    return math.ceil(round(level * draws, 9)) or 1  # rounded first: 0.05 × 1000 must not rise to 51
