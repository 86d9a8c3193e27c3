"""Models of a target side by side: figures of development and of the test, and the champion by development alone.

The last backtest.days steps of each calendar are the test, as many before them development. The rule: least mean
rank over the pinball loss at 2.5 % and 1 % and the Fissler–Ziegel loss at 2.5 % and 1 %, one day ahead; for series
whose shortfall is not negative (prices) the weighted quantile loss over the horizon decides.
Legend: N entities, D days, H steps, Q levels, O origins, M models, K criteria.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.risk.config import RiskConfig
from apps.risk.data.history import history_NT, known_until, steps_known
from apps.risk.data.panel import Panel
from apps.risk.evaluation.judged import Judged, judge, number, overall
from apps.risk.evaluation.parts import Figures, Parts
from apps.risk.metrics.forecast import mase_by_series, seasonal_naive_scale
from apps.risk.metrics.ranking import mean_ranks, winner
from apps.risk.metrics.tail_scores import pinball_loss
from apps.risk.models.garch import Walk
from apps.risk.models.interface import TargetModel
from apps.risk.models.paths import PATHS
from apps.risk.models.walking import Asked, first_day, joined, outcomes, walk_days
from apps.risk.reasons import INPUTS
from core.data.seeds import seed_of
from core.statistics.bootstrap import bootstrap

ORIGINS = 8  # dates of a part from which the whole horizon is forecast
LEVELS = np.linspace(0.1, 0.9, 9)
CRITERIA = (("pinball", "0.025"), ("pinball", "0.01"), ("fz", "0.025"), ("fz", "0.01"))


def targets(
    cfg: RiskConfig, panels: Sequence[Panel], label: str, models: Mapping[str, TargetModel]
) -> tuple[Parts, Judged]:
    """Return the figures of both parts, and the test judged day by day.

    panels: of one calendar each. One walk over both parts; a fitted model is fitted as often in both. The horizon is
    forecast from ORIGINS dates of each.
    """
    days = cfg.backtest.days
    for panel in panels:
        first_day(panel, 2 * days)
    walks = {
        name: joined([walk_days(model, panel, label, 2 * days) for panel in panels])
        for name, model in models.items()
    }
    outcome_ND = np.concatenate([outcomes(panel, label, 2 * days) for panel in panels])
    names = tuple(name for panel in panels for name in panel.entities)
    parts: list[Figures] = []
    judged: Judged | None = None
    for first in (0, days):
        part = slice(first, first + days)
        cut = {name: Walk(*(values[:, part] for values in walk)) for name, walk in walks.items()}
        judged = judge(cut, outcome_ND[:, part], names, Asked("entity", 1), cfg.seed)
        back = 2 * days - first
        ahead = horizons(cfg, panels, label, models, (back, back - days))
        parts.append({name: {**overall(judged, name, cfg.seed), "horizon": ahead[name]} for name in models})
    assert judged is not None
    return Parts(*parts), judged


def horizons(
    cfg: RiskConfig,
    panels: Sequence[Panel],
    label: str,
    models: Mapping[str, TargetModel],
    back: tuple[int, int],
) -> Figures:
    """Return WQL over 0.1 … 0.9, MASE and the 80 % interval's coverage of each model over the horizon, with intervals.

    back: the part's first step, and the one behind it, counted from the end of what each calendar knows. From dates of
    a part that lie evenly, at least a horizon apart and at most ORIGINS; entities without a forecast by any one model
    are left out for all. Intervals resample series, or dates where there are fewer than ten series.
    """
    H = cfg.model.horizon
    count = max(min(ORIGINS, (back[0] - back[1]) // H), 1)
    parts = [_horizons(cfg, panel, label, models, back, count) for panel in panels]
    actual_NH, scale_N = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    by_model = {name: np.concatenate([part[2][name] for part in parts]) for name in models}
    mask_NH = ~np.isnan(actual_NH) & ~np.any([np.isnan(q).any(axis=2) for q in by_model.values()], axis=0)
    if not mask_NH.any():
        return {name: {} for name in models}
    sizes = [len(panel.entities) for panel in panels]
    first_P = np.append(0, np.cumsum(sizes)[:-1])
    entity_N = np.concatenate(
        [np.tile(np.arange(n) + first, count) for n, first in zip(sizes, first_P, strict=True)]
    )
    date_N = np.concatenate([np.repeat(np.arange(count), n) for n in sizes])
    owner_N = entity_N if sum(sizes) >= 10 or count == 1 else date_N
    return {
        name: horizon_figures(actual_NH, quantile_NHQ, scale_N, mask_NH, owner_N, cfg.seed)
        for name, quantile_NHQ in by_model.items()
    }


def _horizons(
    cfg: RiskConfig,
    panel: Panel,
    label: str,
    models: Mapping[str, TargetModel],
    back: tuple[int, int],
    count: int,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return of one calendar what came, (count N, H), seasonal scales, (count N,), and each model's quantiles."""
    H = cfg.model.horizon
    first, until = (steps_known(panel) - steps for steps in back)
    origins = np.linspace(first, max(until - H, first), count).astype(int)
    quantiles: dict[str, list[np.ndarray]] = {name: [] for name in models}
    actual, scales = [], []
    season = panel.axis.calendar.season if panel.axis.calendar else 1
    value_NT = history_NT(panel, label, steps_known(panel))
    for step in origins.tolist():
        seen = known_until(panel, step)
        for name, model in models.items():
            forecast = model.forecast(seen, label, H, cfg.model.paths or PATHS, seed_of(cfg.seed, step))
            quantiles[name].append(forecast.quantile_NHQ(LEVELS))
        came_NH = value_NT[:, step : step + H]
        actual.append(np.pad(came_NH, ((0, 0), (0, H - came_NH.shape[1])), constant_values=np.nan))
        scales.append(
            seasonal_naive_scale(value_NT[:, :step], season)
            if step > season
            else np.full(len(came_NH), np.nan)
        )
    by_model = {name: np.concatenate(parts) for name, parts in quantiles.items()}
    return np.concatenate(actual), np.concatenate(scales), by_model


def horizon_figures(
    actual_NH: np.ndarray,
    quantile_NHQ: np.ndarray,
    scale_N: np.ndarray,
    mask_NH: np.ndarray,
    owner_N: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Return wql, mase and coverage_80 with intervals; each is a ratio of sums over owners, which are resampled.

    owner_N: 0 … of each row. scale_N: as metrics.forecast.seasonal_naive_scale gives it.
    """
    actual_NH = np.where(mask_NH, actual_NH, np.nan)
    losses = [
        np.nansum(pinball_loss(actual_NH, quantile_NHQ[..., q], float(level)), axis=1)
        for q, level in enumerate(LEVELS)
    ]
    scaled_N = mase_by_series(actual_NH, quantile_NHQ[..., 4], scale_N)
    inside_NH = (quantile_NHQ[..., 0] <= actual_NH) & (actual_NH <= quantile_NHQ[..., 8])
    above_N3 = np.stack(
        [2.0 * np.mean(losses, axis=0), np.nan_to_num(scaled_N), inside_NH.sum(axis=1)], axis=1
    )
    below_N3 = np.stack(
        [np.nansum(np.abs(actual_NH), axis=1), ~np.isnan(scaled_N), mask_NH.sum(axis=1)], axis=1
    ).astype(np.float64)
    owners = int(owner_N.max()) + 1
    above_O3, below_O3 = np.zeros((2, owners, 3))
    np.add.at(above_O3, owner_N, above_N3)
    np.add.at(below_O3, owner_N, below_N3)

    def figures(weight_O: np.ndarray) -> np.ndarray:
        below_3 = weight_O @ below_O3
        return np.where(below_3 > 0.0, (weight_O @ above_O3) / np.where(below_3 > 0.0, below_3, 1.0), np.nan)

    value_3, bound_23 = figures(np.ones(owners)), bootstrap(figures, owners, seed=seed)
    return {
        name: [number(float(one)) for one in (value_3[index], *bound_23[:, index])]
        for index, name in enumerate(("wql", "mase", "coverage_80"))
    }


def chosen(development: Figures) -> dict[str, Any]:
    """Return the champion of targets, the rule, and what it was chosen by."""
    names = list(development)
    loss_MK = np.array(
        [[_value(development[name][level][loss]) for loss, level in CRITERIA] for name in names]
    )
    rule = "least mean rank over pinball and Fissler-Ziegel losses at 2.5 % and 1 %, one step ahead, on development"
    if np.isnan(loss_MK[:, 2:]).all():
        rule = "least weighted quantile loss over the horizon, on development dates"
        loss_MK = np.array([[_value(development[name]["horizon"].get("wql"))] for name in names])
    if np.isnan(loss_MK).all():
        raise INPUTS("evaluate_empty")
    ranks = dict(zip(names, map(number, mean_ranks(loss_MK).tolist()), strict=True))
    return {"champion": names[winner(loss_MK)], "rule": rule, "mean_rank": ranks}


def _value(interval: list[float | None] | None) -> float:
    return float("nan") if interval is None or interval[0] is None else interval[0]
