"""Volatility that moves on from step to step: residuals, paths of them, and the days that all series draw alike.

A past day is drawn for all entities together, so that what they did on one day they do together again: dependence
is kept without a model of it. Only what is handed in is seen: hand in the past of the as-of date.
Legend: S paths, N entities, H steps of the horizon, T past steps, K known values of one entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy.signal import lfilter

from apps.risk.models.forecast import PathForecast

WINDOW = 250  # days that plain historical simulation draws from
RESIDUALS = 1000  # days that filtered historical simulation draws from
PATHS = 5000
SHORTEST = 20  # values of an entity within those days
DECAY = 0.94  # of daily data; RiskMetrics, Technical Document, 4th ed. 1996


class Volatility(Protocol):
    """How the variance of one entity moves on: from a variance and a shock to the next variance.

    mean: of one step. reason: '' or the code of a fallback or refusal.
    """

    @property
    def mean(self) -> float:
        """Mean of one step."""

    @property
    def reason(self) -> str:
        """'' or a code."""

    def variances(self, value_K: np.ndarray) -> np.ndarray:
        """Return the variance forecast before each of K values and after the last, (K + 1,)."""

    def step(self, variance_S: np.ndarray, shock_S: np.ndarray) -> np.ndarray:
        """Return the next variance, (S,); a shock is a value less the mean."""


@np.errstate(over="ignore", invalid="ignore")
def residuals(history_NT: np.ndarray, volatility_N: Sequence[Volatility]) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised residuals, (N, T), NaN where no value is, and the variance of the next step, (N,).

    The filter runs over known values in their order, over gaps as if there were none. A variance of 0 gives 0.
    """
    if len(volatility_N) != len(history_NT):
        raise ValueError(f"there are {len(volatility_N)} volatilities for {len(history_NT)} entities")
    z_NT, variance_N = np.full(history_NT.shape, np.nan), np.full(len(history_NT), np.nan)
    for n, (value_T, volatility) in enumerate(zip(history_NT, volatility_N, strict=True)):
        known_T = ~np.isnan(value_T)
        if not known_T.any():
            continue
        variance_K1 = volatility.variances(value_T[known_T])
        sd_K = np.sqrt(variance_K1[:-1])
        shock_K = np.where(sd_K > 0.0, value_T[known_T] - volatility.mean, 0.0)
        z_NT[n, known_T] = shock_K / np.where(sd_K > 0.0, sd_K, 1.0)
        variance_N[n] = variance_K1[-1]
    return z_NT, variance_N


@np.errstate(over="ignore", invalid="ignore")
def simulated(z_SNH: np.ndarray, volatility_N: Sequence[Volatility], variance_N: np.ndarray) -> np.ndarray:
    """Return paths, (S, N, H), of standardised residuals: each shock moves the variance of the step behind it."""
    path_SNH = np.empty(z_SNH.shape)
    for n, volatility in enumerate(volatility_N):
        variance_S = np.full(len(z_SNH), variance_N[n])
        for h in range(z_SNH.shape[2]):
            shock_S = z_SNH[:, n, h] * np.sqrt(variance_S)
            path_SNH[:, n, h] = volatility.mean + shock_S
            variance_S = volatility.step(variance_S, shock_S)
    return path_SNH


@lru_cache(maxsize=8)
def draw_strata(window: int, horizon: int, paths: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the days drawn and which copy of its day each is, (S, H) int64 each; S: paths, up to a multiple of days.

    Latin hypercube (McKay, Beckman & Conover 1979, doi:10.1080/00401706.1979.10489755): at each step each day occurs
    S / window times, once as each copy, in an order drawn for that step. What was drawn lately is kept, and may not be
    written to.
    """
    if min(window, horizon, paths) < 1:
        raise ValueError(f"wanted a window, horizon and paths of 1 or more, got {window}, {horizon}, {paths}")
    generator = np.random.default_rng([seed, 0])
    number_S = np.arange(-(-paths // window) * window)
    number_SH = np.stack([generator.permutation(number_S) for _ in range(horizon)], axis=1)
    drawn = number_SH % window, number_SH // window
    for part in drawn:
        part.flags.writeable = False
    return drawn


def finished(
    path_SNH: np.ndarray,
    volatility_N: Sequence[Volatility],
    reason_N: Sequence[str],
) -> PathForecast:
    """Return the forecast; of several reasons a refusal counts most. Paths beyond all numbers are refused."""
    wild_N = ~np.isfinite(path_SNH).all(axis=(0, 2))
    path_SNH[:, wild_N] = np.nan
    return PathForecast(
        path_SNH,
        tuple(
            (
                reason
                if reason not in ("", "constant")
                else volatility.reason or ("too_large" if wild else reason)
            )
            for volatility, reason, wild in zip(volatility_N, reason_N, wild_N, strict=True)
        ),
    )


def recursion(input_K: np.ndarray, persistence: float, start: float) -> np.ndarray:
    """Return v of v[0] = start, v[t + 1] = input[t] + persistence × v[t], (K + 1,)."""
    later_K, _ = lfilter([1.0], [1.0, -persistence], input_K, zi=[persistence * start])
    return np.append(start, later_K)


def backcast(square_K: np.ndarray) -> float:
    """Return a variance to start from: weighted mean of the first 75 squared shocks, as the package arch takes it."""
    weight_J = DECAY ** np.arange(min(75, len(square_K)))
    return float(weight_J @ square_K[: len(weight_J)] / weight_J.sum())


def checked(history_NT: np.ndarray) -> np.ndarray:
    """Return the history as float64. Raises ValueError for other shapes, no step, and infinities."""
    if history_NT.ndim != 2 or history_NT.shape[1] < 1:
        raise ValueError(f"history has shape {history_NT.shape}, wanted (entities, steps), one step or more")
    infinite = int(np.isinf(history_NT).sum())
    if infinite:
        raise ValueError(f"history has {infinite} infinite values, wanted finite numbers, NaN where missing")
    return history_NT.astype(np.float64)
