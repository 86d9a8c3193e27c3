"""Historical simulation, plain and filtered, as the textbooks write it: what the models are compared with.

Legend: S paths, N entities, H steps of the horizon, T past steps, W days drawn from, K known values of one entity.
Missing values: an entity that has no value on a drawn day gets one of its own other days there, drawn by the
seed (its dependence is lost on that day, its distribution is not). Fewer than SHORTEST values: refused, too_short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.risk.models.forecast import PathForecast
from apps.risk.models.volatility import (
    DECAY,
    PATHS,
    RESIDUALS,
    SHORTEST,
    WINDOW,
    Volatility,
    backcast,
    checked,
    draw_strata,
    finished,
    recursion,
    residuals,
    simulated,
)


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


def draw_days(window: int, horizon: int, paths: int, seed: int) -> np.ndarray:
    """Return the days drawn, (S, H) int64, 0 … window - 1: those of `draw_strata`."""
    return draw_strata(window, horizon, paths, seed)[0]


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


def _mean(value_T: np.ndarray) -> float:
    known_K = value_T[~np.isnan(value_T)]
    return float(known_K.mean()) if len(known_K) else float("nan")
