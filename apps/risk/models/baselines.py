"""Baselines behind one interface: what a network has to beat, each usable without any weights.

Each is a TargetModel over apps.risk.data.history: days that are drawn depend on the seed and the calendar alone, so
that slices of a panel are answered as the whole, and paths stay joint across slices. Each offers a walk, too: VaR and
ES of one step ahead, day by day, without noise of simulation.
usual_paths: so many that the standard error of the 1 % VaR of a sum over ten steps is below 2 % of it (on the S&P 500,
the Nasdaq and WTI over 30 seeds); of one step there is no such error. Thousands of series take minutes with so many:
a smaller model.paths is quicker, and the scores tell the error that it leaves. GJR-GARCH besides fits each series by
maximum likelihood, a tenth of a second or more each.
Legend: S paths, N entities, H steps of the horizon, T past steps, W days drawn from, K known values, L levels.
Missing values: a gap gets one of the entity's own values; fewer than SHORTEST of them are refused, too_short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.signal import lfilter

from apps.risk.data.history import history_NT
from apps.risk.data.panel import Panel
from apps.risk.data.season import season_of
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast, Tail, tail_of
from apps.risk.models.garch import LONGEST_FIT, REFIT, Gjr, Walk, fit_gjr, gjr_forecast, walk_gjr
from apps.risk.models.historical_simulation import (
    DECAY,
    RESIDUALS,
    SHORTEST,
    WINDOW,
    checked,
    draw_days,
)
from apps.risk.models.interface import TargetModel
from apps.risk.models.seasonal_naive import seasonal_naive

_REFUSED = ("all_missing", "too_short")
WARM_UP = 250  # steps over which the variance settles before residuals count


@dataclass(frozen=True)
class HistoricalSimulation:
    """The last `window` days, each as likely as any other (models/historical_simulation.py)."""

    window: int = WINDOW
    name: str = "historical_simulation"
    usual_paths: ClassVar[int] = 16_000
    drawn: ClassVar[bool] = True

    @property
    def looks_back(self) -> int:
        """The window."""
        return self.window

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Return paths of past days; their number is rounded up to a multiple of the window."""
        value_NW, reason_N = filled(history_NT(panel, label, self.window), seed)
        day_SH = draw_days(value_NW.shape[1], horizon, paths, seed)
        return PathForecast(value_NW[:, day_SH].transpose(1, 0, 2), reason_N)

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, each from the window before it."""
        return _walk(checked(history_NT), begin, self.window, self._tail)

    def _tail(self, past_NT: np.ndarray) -> tuple[Tail, tuple[str, ...]]:
        value_NW, reason_N = filled(past_NT, seed=0)
        return tail_of(value_NW.T), reason_N


@dataclass(frozen=True)
class FilteredHistoricalSimulation:
    """Past days brought to today's volatility, an exponentially weighted one about the history's mean.

    Source: Hull & White 1998, doi:10.21314/JOR.1998.001; as models/historical_simulation.py does it, all entities
    at once. window: steps whose standardised residuals are drawn.
    """

    window: int = RESIDUALS
    decay: float = DECAY
    name: str = "filtered_historical_simulation"
    usual_paths: ClassVar[int] = 30_000
    drawn: ClassVar[bool] = True

    @property
    def looks_back(self) -> int:
        """The window, and what the variance settles over."""
        return self.window + WARM_UP

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Return paths whose variance moves on; their number is rounded up to a multiple of the window."""
        past_NT = history_NT(panel, label, self.window + WARM_UP)
        z_NW, mean_N, variance_N, reason_N = self._filter(past_NT, seed)
        day_SH = draw_days(z_NW.shape[1], horizon, paths, seed)
        variance_SN = np.broadcast_to(variance_N, (len(day_SH), len(z_NW)))
        path_SNH = np.empty((len(day_SH), len(z_NW), horizon))
        with np.errstate(over="ignore", invalid="ignore"):
            for h in range(horizon):
                shock_SN = z_NW.T[day_SH[:, h]] * np.sqrt(variance_SN)
                path_SNH[:, :, h] = mean_N + shock_SN
                variance_SN = self.decay * variance_SN + (1.0 - self.decay) * shock_SN**2
        return _sound(path_SNH, reason_N)

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, each from a filter over the steps before it."""
        return _walk(checked(history_NT), begin, self.window + WARM_UP, self._tail)

    def _tail(self, past_NT: np.ndarray) -> tuple[Tail, tuple[str, ...]]:
        z_NW, mean_N, variance_N, reason_N = self._filter(past_NT, seed=0)
        with np.errstate(over="ignore", invalid="ignore"):
            return tail_of(mean_N + z_NW.T * np.sqrt(variance_N)), reason_N

    @np.errstate(over="ignore", invalid="ignore")
    def _filter(
        self, past_NT: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return residuals (N, W), mean (N,), the next step's variance (N,), reasons; over gaps as if none were."""
        known_NT = ~np.isnan(past_NT)
        count_N = known_NT.sum(axis=1)
        order_NT = np.argsort(~known_NT, axis=1, kind="stable")  # known values first, in their order
        value_NK = np.nan_to_num(np.take_along_axis(past_NT, order_NT, axis=1))
        inside_NK = np.arange(past_NT.shape[1]) < count_N[:, None]
        mean_N = value_NK.sum(axis=1) / np.maximum(count_N, 1)
        shock_NK = np.where(inside_NK, value_NK - mean_N[:, None], 0.0)
        weight_NJ = DECAY ** np.arange(inside_NK.shape[1])[:75] * inside_NK[:, :75]  # as arch's backcast
        start_N1 = np.sum(weight_NJ * shock_NK[:, :75] ** 2, axis=1, keepdims=True)
        start_N1 /= np.maximum(weight_NJ.sum(axis=1, keepdims=True), 1.0)
        later_NK, _ = lfilter(
            [1.0], [1.0, -self.decay], (1.0 - self.decay) * shock_NK**2, axis=1, zi=self.decay * start_N1
        )
        variance_NK1 = np.concatenate([start_N1, later_NK], axis=1)
        sd_NK = np.sqrt(variance_NK1[:, :-1])
        z_NK = np.divide(shock_NK, sd_NK, out=np.zeros_like(shock_NK), where=sd_NK > 0.0)
        z_NT = np.full(past_NT.shape, np.nan)
        np.put_along_axis(z_NT, order_NT, np.where(inside_NK, z_NK, np.nan), axis=1)
        z_NW, reason_N = filled(z_NT[:, -self.window :], seed)
        return z_NW, mean_N, np.take_along_axis(variance_NK1, count_N[:, None], axis=1)[:, 0], reason_N


@dataclass(frozen=True)
class GjrGarch:
    """GJR-GARCH with a skewed t, fitted by the package arch to each series (models/garch.py).

    every: steps of a walk between two fits.
    """

    every: int = REFIT
    name: str = "gjr_garch"
    usual_paths: ClassVar[int] = 40_000
    drawn: ClassVar[bool] = True
    looks_back: ClassVar[int] = LONGEST_FIT

    def fitted(self, panel: Panel, label: str) -> FittedGjr:
        """Return the model with the parameters of today, for the days to come."""
        past_NT = history_NT(panel, label, LONGEST_FIT)
        return FittedGjr(
            {name: fit_gjr(past_T) for name, past_T in zip(panel.entities, past_NT, strict=True)}
        )

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Fit each series, then simulate."""
        return self.fitted(panel, label).forecast(panel, label, horizon, paths, seed)

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, from the skewed t itself."""
        return walk_gjr(history_NT, begin, self.every)


@dataclass(frozen=True, eq=False)
class FittedGjr:
    """GJR-GARCH with parameters found before: the variance alone follows what came since."""

    gjr_by_entity: Mapping[str, Gjr]
    name: str = "gjr_garch"
    usual_paths: ClassVar[int] = 40_000
    drawn: ClassVar[bool] = True
    looks_back: ClassVar[int] = LONGEST_FIT

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Simulate each entity on the same days drawn.

        An entity that was not there when the model was fitted is fitted now.
        """
        past_NT = history_NT(panel, label, LONGEST_FIT)
        gjr_N = [self._of(name, past_T) for name, past_T in zip(panel.entities, past_NT, strict=True)]
        each = [
            gjr_forecast(past_T[None], [gjr], horizon, paths=paths, seed=seed)
            for past_T, gjr in zip(past_NT, gjr_N, strict=True)
        ]
        path_SNH = np.concatenate([one.path_SNH for one in each], axis=1)
        reason_N = tuple(reason for one in each for reason in one.reason_N)
        return PathForecast(path_SNH, reason_N)

    def _of(self, name: str, past_T: np.ndarray) -> Gjr:
        return self.gjr_by_entity[name] if name in self.gjr_by_entity else fit_gjr(past_T)


@dataclass(frozen=True)
class SeasonalNaive:
    """The next season is the last one, and errs as past seasons did.

    season: steps; None reads it from the calendar (apps.risk.data.season). Each step adds the change
    over one season of a past day to the value one season before it, drawn for all entities together.
    """

    season: int | None = None
    window: int = RESIDUALS
    name: str = "seasonal_naive"
    usual_paths: ClassVar[int] = 40_000
    drawn: ClassVar[bool] = True

    @property
    def looks_back(self) -> int:
        """The days whose changes are drawn."""
        return self.window

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Return paths; their number is rounded up to a multiple of the days drawn from.

        Reasons besides those of models/seasonal_naive.py: none.
        """
        season = self.season or season_of(panel.calendar_T)
        past_NT = history_NT(panel, label, self.window + season)
        point = seasonal_naive(past_NT, horizon, season)
        change_NW = past_NT[:, season:] - past_NT[:, :-season]
        if not change_NW.shape[1]:
            change_NW = np.full((len(past_NT), 1), np.nan)
        error_NW, _ = filled(change_NW, seed, shortest=1)
        error_NW = np.nan_to_num(error_NW)  # no error known: the point alone
        day_SH = draw_days(error_NW.shape[1], horizon, paths, seed)
        path_SNH = error_NW[:, day_SH].transpose(1, 0, 2).copy()
        for h in range(season, horizon):
            path_SNH[:, :, h] += path_SNH[:, :, h - season]
        return _sound(path_SNH + point.point_NH, point.reason_N)


BASELINES: dict[str, Callable[[], TargetModel]] = {
    "historical_simulation": HistoricalSimulation,
    "filtered_historical_simulation": FilteredHistoricalSimulation,
    "gjr_garch": GjrGarch,
    "seasonal_naive": SeasonalNaive,
}


def filled(value_NW: np.ndarray, seed: int, shortest: int = SHORTEST) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return days without gaps, (N, W), NaN for an entity of fewer than `shortest` values; and reasons.

    A gap gets one of the entity's own values; which one depends on the day and the seed, not on other entities.
    """
    known_NW = ~np.isnan(value_NW)
    count_N = known_NW.sum(axis=1)
    refused_N = count_N < shortest
    out_NW = np.where(refused_N[:, None], np.nan, value_NW)
    hole_G = np.flatnonzero(~refused_N & (count_N < value_NW.shape[1]))
    if len(hole_G):
        share_W = np.random.default_rng([seed, 1]).random(value_NW.shape[1])
        order_GW = np.argsort(~known_NW[hole_G], axis=1, kind="stable")
        drawn_GW = np.take_along_axis(
            order_GW, (share_W * count_N[hole_G, None]).astype(np.int64), axis=1
        )  # a known day of the entity for each day
        spare_GW = np.take_along_axis(value_NW[hole_G], drawn_GW, axis=1)
        out_NW[hole_G] = np.where(known_NW[hole_G], value_NW[hole_G], spare_GW)
    same_N = out_NW.min(axis=1) == out_NW.max(axis=1)
    reasons = np.where(
        count_N == 0, "all_missing", np.where(refused_N, "too_short", np.where(same_N, "constant", ""))
    )
    return out_NW, tuple(reasons.tolist())


def _walk(
    past_NT: np.ndarray,
    begin: int,
    longest: int,
    tail: Callable[[np.ndarray], tuple[Tail, tuple[str, ...]]],
) -> Walk:
    """Ask for the tail of each step from `begin` on, of the `longest` steps before it."""
    N, T = past_NT.shape
    if not 0 < begin < T:
        raise ValueError(f"wanted 0 < begin < {T}, got {begin}")
    var_NDL, es_NDL = np.full((2, N, T - begin, len(TAIL_LEVELS)), np.nan)
    reason_ND = np.full((N, T - begin), "", dtype=object)
    for step in range(begin, T):
        found, reason_ND[:, step - begin] = tail(past_NT[:, max(step - longest, 0) : step])
        var_NDL[:, step - begin], es_NDL[:, step - begin] = found
    return Walk(var_NDL, es_NDL, reason_ND)


def _sound(path_SNH: np.ndarray, reason_N: tuple[str, ...]) -> PathForecast:
    """Return the forecast; paths beyond all numbers are refused, too_large."""
    wild_N = ~np.isfinite(path_SNH).all(axis=(0, 2))
    path_SNH[:, wild_N] = np.nan
    marked = [
        "too_large" if wild and reason not in _REFUSED else reason
        for wild, reason in zip(wild_N, reason_N, strict=True)
    ]
    return PathForecast(path_SNH, tuple(marked))
