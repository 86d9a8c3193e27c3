"""Walk forward: what a model would have said on each of the last days, from what came before that day alone.

One step ahead of single entities a model may answer at once by `walk`; portfolios and longer horizons come from its
joint paths, date by date.
Legend: N entities, P portfolios, D days of the walk, H steps of the horizon, L tail levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from apps.risk.data.comparable import FEWEST_BEFORE
from apps.risk.data.history import history_NT, known_until, steps_known
from apps.risk.data.panel import Panel
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast
from apps.risk.models.garch import LONGEST_FIT, Walk
from apps.risk.models.interface import TargetModel
from apps.risk.reasons import INPUTS
from core.data.seeds import seed_of
from core.terminal.progress import progress


class Asked(NamedTuple):
    """What a forecast is of: "entity" or "portfolio", and the steps over which the target is summed."""

    kind: str
    steps: int


@runtime_checkable
class Walking(Protocol):
    """A model that forecasts one step of many days at once."""

    def walk(self, history_NT: np.ndarray, begin: int) -> Walk:
        """Return VaR and ES of steps begin … T - 1, each from the steps before it alone."""


@runtime_checkable
class WalkingPanels(Protocol):
    """The same of a model that uses more than one column, or groups of entities."""

    def walk_panel(self, panel: Panel, label: str, days: int) -> Walk:
        """Return VaR and ES of the calendar's last `days` known steps, each from what came before it alone."""


@runtime_checkable
class Fitting(Protocol):
    """A model whose parameters can be kept for some days."""

    def fitted(self, panel: Panel, label: str) -> TargetModel:
        """Return the model fitted to the past of the as-of date."""


def first_day(panel: Panel, days: int) -> int:
    """Return the step of the calendar at which a walk over its last `days` known steps begins.

    panel: of one calendar. Raises InputError, backtest_short, where fewer than 20 steps would lie before it.
    """
    known = steps_known(panel)
    if known < days + FEWEST_BEFORE:
        raise INPUTS(
            "backtest_short",
            known=known,
            calendar=panel.axis.calendar,
            days=days,
            needed=days + FEWEST_BEFORE,
            most=max(known - FEWEST_BEFORE, 0),
        )
    return known - days


def outcomes(panel: Panel, label: str, days: int, steps: int = 1) -> np.ndarray:
    """Return what came, (N, D): the sum over the `steps` steps that begin at each day.

    A step without value adds nothing (its move comes with the next value); NaN where the last step has none, or lies
    beyond the as-of date.
    """
    value_ND = history_NT(panel, label, days)
    return summed(value_ND, steps)


def summed(value_ND: np.ndarray, steps: int) -> np.ndarray:
    """Return the sums of `outcomes` for values of days in a row, (N, D)."""
    out_ND = np.full(value_ND.shape, np.nan)
    total_ND1 = np.cumsum(np.pad(np.nan_to_num(value_ND), ((0, 0), (1, 0))), axis=1)
    days = value_ND.shape[1] - steps + 1
    if days > 0:
        sum_ND = total_ND1[:, steps:] - total_ND1[:, :-steps]
        out_ND[:, :days] = np.where(np.isnan(value_ND[:, steps - 1 :]), np.nan, sum_ND)
    return out_ND


def held(outcome_ND: np.ndarray, weight_PN: np.ndarray) -> np.ndarray:
    """Return what portfolios did, (P, D); NaN where something held has no outcome."""
    gone_PD = (weight_PN != 0.0).astype(np.float64) @ np.isnan(outcome_ND) > 0.0
    return np.where(gone_PD, np.nan, weight_PN @ np.nan_to_num(outcome_ND))


def joined(walks: Sequence[Walk]) -> Walk:
    """Return walks of several calendars as one: day d is the one of each calendar that lies as far before its end."""
    return Walk(*(np.concatenate(parts) for parts in zip(*walks, strict=True)))


def walk_days(model: TargetModel, panel: Panel, label: str, days: int) -> Walk:
    """Return one-step VaR and ES of all entities on the calendar's last `days` known steps.

    By the model's own `walk` where it has one (its past then reaches LONGEST_FIT steps before the first day), else
    date by date.
    """
    begin = first_day(panel, days)
    if isinstance(model, WalkingPanels):
        return model.walk_panel(panel, label, days)
    if isinstance(model, Walking):
        past_NT = history_NT(panel, label, days + min(begin, LONGEST_FIT))
        return model.walk(past_NT, past_NT.shape[1] - days)
    nothing = np.zeros((0, len(panel.entities)))
    return walk_paths(model, panel, label, days, (1,), nothing)[Asked("entity", 1)]


def walk_paths(
    model: TargetModel,
    panel: Panel,
    label: str,
    days: int,
    steps: tuple[int, ...],
    weight_PN: np.ndarray,
    every: int = 20,
    paths: int = 1000,
    seed: int = 0,
) -> Mapping[Asked, Walk]:
    """Return VaR and ES from joint paths, of entities and of portfolios (P of 0 has none), for each of `steps`.

    every: steps for which fitted parameters are kept. The seed of a day is `seed` plus its step of the calendar. A
    portfolio that holds an entity without forecast has none, for the reason holds_refused.
    """
    begin, N, P = first_day(panel, days), len(panel.entities), len(weight_PN)
    asked = [Asked("entity", step) for step in steps]
    asked += [Asked("portfolio", step) for step in steps] if P else []
    shape = {"entity": N, "portfolio": P}
    walks = {one: _blank(shape[one.kind], days) for one in asked}
    current = model
    for day in progress(range(days), f"{model.name}, day by day"):
        seen = known_until(panel, begin + day)
        if isinstance(model, Fitting) and day % every == 0:
            current = model.fitted(seen, label)
        forecast = current.forecast(seen, label, max(steps), paths, seed_of(seed, begin + day))
        forecasts = {"entity": forecast}
        if P:
            forecasts["portfolio"] = forecast.portfolios(weight_PN)
        for one, walk in walks.items():
            _put(walk, day, forecasts[one.kind], one.steps)
    return walks


def _blank(rows: int, days: int) -> Walk:
    var_NDL, es_NDL = np.full((2, rows, days, len(TAIL_LEVELS)), np.nan)
    return Walk(var_NDL, es_NDL, np.full((rows, days), "", dtype=object))


def _put(walk: Walk, day: int, forecast: PathForecast, steps: int) -> None:
    tail = forecast.tail(steps)
    walk.var_NDL[:, day], walk.es_NDL[:, day] = tail.var_NL, tail.es_NL
    walk.reason_ND[:, day] = forecast.reason_N
