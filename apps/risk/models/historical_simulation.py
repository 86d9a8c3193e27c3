"""Historical simulation: the future is drawn from past days, plain or filtered by volatility.

A past day is drawn for all entities together, so that what they did on one day they do together again: dependence
is kept without a model of it. Only what is handed in is seen: hand in the past of the as-of date.
Legend: S paths, N entities, H steps of the horizon, T past steps, W days drawn from, K known values of one entity.
Missing values: an entity that has no value on a drawn day gets one of its own other days there, drawn by the
seed (its dependence is lost on that day, its distribution is not). Fewer than SHORTEST values: refused, too_short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Ewma:
    """Exponentially weighted variance (Hull & White 1998, doi:10.21314/JOR.1998.001); starts at the first shocks'."""

    mean: float = 0.0
    decay: float = DECAY
    reason: str = ""

    def variances(self, value_K: np.ndarray) -> np.ndarray:
        """Return (K + 1,), the last for the step to come."""
        square_K = (value_K - self.mean) ** 2
        return recursion((1.0 - self.decay) * square_K, self.decay, backcast(square_K))

    def step(self, variance_S: np.ndarray, shock_S: np.ndarray) -> np.ndarray:
        """Return (S,)."""
        return self.decay * variance_S + (1.0 - self.decay) * shock_S**2


def historical_simulation(
    history_NT: np.ndarray, horizon: int = 1, window: int = WINDOW, paths: int = WINDOW, seed: int = 0
) -> PathForecast:
    """Forecast by the last `window` steps, each as likely as any other.

    Source: Hendricks 1996, Evaluation of Value-at-Risk Models Using Historical Data, FRBNY Economic Policy Review 2.
    paths: rounded up to a multiple of the window. At each step every day of the window occurs equally often, in an
    order of its own drawn by the seed: one step ahead has no noise of simulation, days of one path are unrelated.
    """
    past_NW = checked(history_NT)[:, -window:]
    value_NW, reason_N = filled(past_NW, seed)
    day_SH = draw_days(past_NW.shape[1], horizon, paths, seed)
    return PathForecast(value_NW[:, day_SH].transpose(1, 0, 2), reason_N)


def filtered_historical_simulation(
    history_NT: np.ndarray,
    volatility_N: Sequence[Volatility] | None = None,
    horizon: int = 1,
    window: int = RESIDUALS,
    paths: int = PATHS,
    seed: int = 0,
) -> PathForecast:
    """Forecast by past days brought to the volatility of today, which moves on along each path.

    Source: Barone-Adesi, Giannopoulos & Vosper 1999, doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S;
    with the default, Ewma about the mean of the history, Hull & White 1998, doi:10.21314/JOR.1998.001.
    volatility_N: one for each entity, fitted on no more than the history. window: steps whose standardised
    residuals are drawn. paths: rounded up to a multiple of the window, each day equally often at each step.
    """
    past_NT = checked(history_NT)
    if volatility_N is None:
        volatility_N = [Ewma(_mean(value_T)) for value_T in past_NT]
    z_NT, variance_N = residuals(past_NT, volatility_N)
    z_NW, reason_N = filled(z_NT[:, -window:], seed)
    day_SH = draw_days(z_NW.shape[1], horizon, paths, seed)
    path_SNH = simulated(z_NW[:, day_SH].transpose(1, 0, 2), volatility_N, variance_N)
    return finished(path_SNH, volatility_N, reason_N)


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


def draw_days(window: int, horizon: int, paths: int, seed: int) -> np.ndarray:
    """Return the days drawn, (S, H) int64, 0 … window - 1: those of `draw_strata`."""
    return draw_strata(window, horizon, paths, seed)[0]


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


def filled(value_NW: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return days without gaps, (N, W), NaN for an entity of fewer than SHORTEST values; and reasons.

    A gap gets one of the entity's own values, drawn by the seed.
    """
    out_NW, reasons = np.full(value_NW.shape, np.nan), []
    for n, value_W in enumerate(value_NW):
        own_K = value_W[~np.isnan(value_W)]
        if len(own_K) < SHORTEST:
            reasons.append("too_short" if len(own_K) else "all_missing")
            continue
        drawn_W = np.random.default_rng([seed, 1, n]).choice(own_K, size=len(value_W))
        out_NW[n] = np.where(np.isnan(value_W), drawn_W, value_W)
        reasons.append("constant" if own_K.min() == own_K.max() else "")
    return out_NW, tuple(reasons)


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


def _mean(value_T: np.ndarray) -> float:
    known_K = value_T[~np.isnan(value_T)]
    return float(known_K.mean()) if len(known_K) else float("nan")
