"""Baselines behind one interface: what a network has to beat, each usable without any weights.

Each is a TargetModel over each series' own last values (apps.risk.data.history.last_values); days that are drawn depend
on the seed and the steps of the series' calendar alone (models/joint_days.py). So a series has the same forecast alone,
in a slice and in any company, and paths stay joint. Each offers a walk, too: VaR and
ES of one step ahead, day by day, without noise of simulation.
usual_paths: so many that the 1 % VaR of a sum over ten steps varies by at most 1.7 % with the seed (standard deviation
over 30 seeds on the S&P 500, the Nasdaq and WTI); more only where the VaR itself is near zero, since the last season
was good (seasonal naive at the end of 2018: -1.5 with a deviation of 0.1); of one step there is no such error.
Thousands of series take minutes with so many:
a smaller model.paths is quicker, and the scores state the error that it leaves. GJR-GARCH besides fits each series by
maximum likelihood, a tenth of a second or more each.
Legend: S paths, N entities, H steps of the horizon, T past steps, W days drawn from, K known values, L levels.
Missing values count for nothing: the last known ones are drawn; fewer than SHORTEST of them are refused, too_short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.signal import lfilter

from apps.risk.data.history import last_values, since_end
from apps.risk.data.panel import Panel
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast, Tail, tail_of
from apps.risk.models.garch import (
    LONGEST_FIT,
    REFIT,
    Gjr,
    Walk,
    fit_gjr,
    gjr_forecast,
    last_known,
    walk_gjr,
)
from apps.risk.models.interface import TargetModel
from apps.risk.models.joint_days import JointDays
from apps.risk.models.seasonal_naive import seasonal_naive
from apps.risk.models.volatility import (
    DECAY,
    RESIDUALS,
    SHORTEST,
    WINDOW,
    checked,
)

_REFUSED = ("all_missing", "too_short")
WARM_UP = 250  # steps over which the variance settles before residuals count


@dataclass(frozen=True)
class HistoricalSimulation:
    """The last `window` values, each as likely as any other."""

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
        value_NW, slot_NW = last_values(panel, label, self.window)
        return PathForecast(drawn(value_NW, slot_NW, horizon, paths, seed), reasons(value_NW))

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, each from the window before it."""
        return _walk(checked(history_NT), begin, self.window, self._tail)

    def _tail(self, past_NT: np.ndarray) -> tuple[Tail, tuple[str, ...]]:
        return known_tail(past_NT), reasons(past_NT)


@dataclass(frozen=True)
class FilteredHistoricalSimulation:
    """Past days brought to today's volatility, an exponentially weighted one about the history's mean.

    Source: Hull & White 1998, doi:10.21314/JOR.1998.001; all entities at once. window: steps whose
    standardised residuals are drawn.
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
        value_NT, slot_NT = last_values(panel, label, self.window + WARM_UP)
        z_NW, mean_N, variance_N = self._filter(value_NT)
        path_SNH = drawn(z_NW, slot_NT[:, -self.window :], horizon, paths, seed)
        variance_SN = np.broadcast_to(variance_N, path_SNH.shape[:2])
        with np.errstate(over="ignore", invalid="ignore"):
            for h in range(horizon):
                shock_SN = path_SNH[:, :, h] * np.sqrt(variance_SN)
                path_SNH[:, :, h] = mean_N + shock_SN
                variance_SN = self.decay * variance_SN + (1.0 - self.decay) * shock_SN**2
        return _sound(path_SNH, reasons(z_NW))

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, each from a filter over the steps before it."""
        return _walk(checked(history_NT), begin, self.window + WARM_UP, self._tail)

    def _tail(self, past_NT: np.ndarray) -> tuple[Tail, tuple[str, ...]]:
        z_NW, mean_N, variance_N = self._filter(past_NT)
        var_NL, es_NL = known_tail(z_NW)
        with np.errstate(over="ignore", invalid="ignore"):
            mean_N1, sd_N1 = mean_N[:, None], np.sqrt(variance_N)[:, None]
            return Tail(mean_N1 + sd_N1 * var_NL, mean_N1 + sd_N1 * es_NL), reasons(z_NW)

    @np.errstate(over="ignore", invalid="ignore")
    def _filter(self, value_NT: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return residuals (N, W), flush right, mean (N,) and the next step's variance (N,) of values flush right."""
        count_N = (~np.isnan(value_NT)).sum(axis=1)
        first_N1 = (value_NT.shape[1] - count_N)[:, None]
        column_T = np.arange(value_NT.shape[1])
        value_NK = np.take_along_axis(value_NT, (column_T + first_N1) % value_NT.shape[1], axis=1)
        inside_NK = column_T < count_N[:, None]
        value_NK = np.where(inside_NK, value_NK, 0.0)  # flush left: the filter starts at the first value
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
        z_NT = np.take_along_axis(
            np.where(inside_NK, z_NK, np.nan), (column_T - first_N1) % value_NT.shape[1], axis=1
        )
        return (
            z_NT[:, -self.window :],
            mean_N,
            np.take_along_axis(variance_NK1, count_N[:, None], axis=1)[:, 0],
        )


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
        value_NK, _ = last_values(panel, label, LONGEST_FIT)
        return FittedGjr(
            {name: fit_gjr(value_K) for name, value_K in zip(panel.entities, value_NK, strict=True)}
        )

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Fit each series, then simulate."""
        return self.fitted(panel, label).forecast(panel, label, horizon, paths, seed)

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, from the skewed t itself."""
        return walk_gjr(history_NT, begin, self.every)


@dataclass(frozen=True, eq=False)
class FittedGjr:
    """GJR-GARCH with parameters fitted before: the variance alone follows what came since."""

    gjr_by_entity: Mapping[str, Gjr]
    name: str = "gjr_garch"
    usual_paths: ClassVar[int] = 40_000
    drawn: ClassVar[bool] = True
    looks_back: ClassVar[int] = LONGEST_FIT

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Simulate each entity on the same days drawn.

        An entity that was not there when the model was fitted is fitted now.
        """
        past = last_values(panel, label, LONGEST_FIT)
        gjr_N = [self._of(name, value_K) for name, value_K in zip(panel.entities, past.value_NK, strict=True)]
        each = [
            gjr_forecast(value_K[None], [gjr], horizon, paths=paths, seed=seed, slot_NT=slot_K[None])
            for value_K, slot_K, gjr in zip(*past, gjr_N, strict=True)
        ]
        path_SNH = np.concatenate([one.path_SNH for one in each], axis=1)
        reason_N = tuple(reason for one in each for reason in one.reason_N)
        return PathForecast(path_SNH, reason_N)

    def _of(self, name: str, past_T: np.ndarray) -> Gjr:
        return self.gjr_by_entity[name] if name in self.gjr_by_entity else fit_gjr(past_T)


@dataclass(frozen=True)
class SeasonalNaive:
    """The next season is the last one, and errs as past seasons did.

    season: steps; None takes that of the series' calendar. Each step adds the change over one season of a past day to
    the value one season before it, drawn for all entities together.
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
        calendar = panel.axis.calendar
        season = self.season or (calendar.season if calendar else 1)
        past_NT = since_end(panel, label, self.window + season)
        point = seasonal_naive(past_NT, horizon, season)
        change_NW = past_NT[:, season:] - past_NT[:, :-season]
        slot_NW = panel.end_N[:, None] + np.arange(1 - self.window, 1)
        path_SNH = drawn(*last_known(change_NW, slot_NW, self.window), horizon, paths, seed, shortest=1)
        path_SNH = np.nan_to_num(path_SNH)  # no error known: the point alone
        for h in range(season, horizon):
            path_SNH[:, :, h] += path_SNH[:, :, h - season]
        return _sound(path_SNH + point.point_NH, point.reason_N)


BASELINES: dict[str, Callable[[], TargetModel]] = {
    "historical_simulation": HistoricalSimulation,
    "filtered_historical_simulation": FilteredHistoricalSimulation,
    "gjr_garch": GjrGarch,
    "seasonal_naive": SeasonalNaive,
}


def drawn(
    value_NW: np.ndarray, slot_NW: np.ndarray, horizon: int, paths: int, seed: int, shortest: int = SHORTEST
) -> np.ndarray:
    """Return paths of values drawn by their days (joint_days.JointDays), (S, N, H); NaN of fewer than `shortest`.

    value_NW: flush right, NaN before the first. slot_NW: steps of the calendars' rules.
    """
    known_NW = ~np.isnan(value_NW)
    days = JointDays(value_NW, slot_NW, horizon, paths, seed)
    path_NHS = np.empty((len(value_NW), horizon, len(days)))  # as whoever sorts the paths wants them
    for h in range(horizon):
        path_NHS[:, h] = np.take_along_axis(value_NW, days.at(h), axis=1)
    path_NHS[known_NW.sum(axis=1) < shortest] = np.nan
    return path_NHS.transpose(2, 0, 1)


def reasons(value_NW: np.ndarray) -> tuple[str, ...]:
    """Return of each series the reason of its refusal, `constant`, or ''. NaN counts for nothing."""
    known_NW = ~np.isnan(value_NW)
    count_N = known_NW.sum(axis=1)
    least_N, most_N = (
        of(value_NW, axis=1, where=known_NW, initial=outer)
        for of, outer in ((np.min, np.inf), (np.max, -np.inf))
    )
    by_count_N = np.where(count_N < SHORTEST, "too_short", np.where(least_N == most_N, "constant", ""))
    return tuple(np.where(count_N == 0, "all_missing", by_count_N).tolist())


def known_tail(value_NW: np.ndarray) -> Tail:
    """Return VaR and ES of each series' known values, (N, L) each; NaN of fewer than SHORTEST."""
    known_NW = ~np.isnan(value_NW)
    count_N = known_NW.sum(axis=1)
    var_NL, es_NL = np.full((2, len(value_NW), len(TAIL_LEVELS)), np.nan)
    for count in np.unique(count_N[count_N >= SHORTEST]).tolist():
        some_N = count_N == count
        own_XK = value_NW[some_N][known_NW[some_N]].reshape(-1, count)
        var_NL[some_N], es_NL[some_N] = tail_of(own_XK.T)
    return Tail(var_NL, es_NL)


def _walk(
    past_NT: np.ndarray,
    begin: int,
    longest: int,
    tail: Callable[[np.ndarray], tuple[Tail, tuple[str, ...]]],
) -> Walk:
    """Ask for the tail of each step from `begin` on, of the last `longest` known values before it."""
    N, T = past_NT.shape
    if not 0 < begin < T:
        raise ValueError(f"wanted 0 < begin < {T}, got {begin}")
    known_NT = ~np.isnan(past_NT)
    order_NT = np.argsort(~known_NT, axis=1, kind="stable")  # known values first, in their order
    value_NK = np.pad(
        np.take_along_axis(past_NT, order_NT, axis=1), ((0, 0), (longest, 0)), constant_values=np.nan
    )
    before_NT = np.cumsum(known_NT, axis=1)
    var_NDL, es_NDL = np.full((2, N, T - begin, len(TAIL_LEVELS)), np.nan)
    reason_ND = np.full((N, T - begin), "", dtype=object)
    for step in range(begin, T):
        column_NW = before_NT[:, step - 1, None] + np.arange(longest)
        figures, reason_ND[:, step - begin] = tail(np.take_along_axis(value_NK, column_NW, axis=1))
        var_NDL[:, step - begin], es_NDL[:, step - begin] = figures
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
