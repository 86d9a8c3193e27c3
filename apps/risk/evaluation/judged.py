"""Rows of a backtest: models beside each other on the days that all of them forecast, and their sum over entities.

Legend: N entities, D days, L levels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.risk.metrics.tail_figures import (
    FEWEST_DAYS,
    TailFigures,
    TailLosses,
    mean_losses,
    tail_figures,
    tail_losses,
    too_few_expected,
)
from apps.risk.models.forecast import TAIL_LEVELS
from apps.risk.models.garch import Walk
from apps.risk.models.walking import Asked

SIZE = 0.05  # a test is passed from this p-value on
TESTS = ("kupiec", "independence", "conditional", "dq", "z2")


@dataclass(frozen=True)
class Row:
    """One model, entity (or portfolio), horizon and level. refused_days: with an outcome, without a forecast.

    reason: the commonest code of those days, or why nothing can be said: no_outcome, too_few_days, or of the tests
    alone too_few_expected (exceedances); '' where all is well. figures: on the days on which every model that
    forecasts this entity at all has a forecast.
    """

    model: str
    kind: str
    entity: str
    horizon: int
    refused_days: int
    reason: str
    figures: TailFigures


COLUMNS = (
    *(field.name for field in dataclasses.fields(Row) if field.name != "figures"),
    *(field.name for field in dataclasses.fields(TailFigures)),
)


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows by model, entity, level; and of each model its losses, one TailLosses an entity."""

    asked: Asked
    rows: list[Row]
    losses: Mapping[str, list[TailLosses]]


def judge(
    walks: Mapping[str, Walk], outcome_ND: np.ndarray, names: Sequence[str], asked: Asked, seed: int = 0
) -> Judged:
    """Judge models on common days; the first one is what the others are compared with.

    A model without a forecast on any day with an outcome gets a row with its reason, and hides no day of the others.
    """
    rows: list[Row] = []
    losses: dict[str, list[TailLosses]] = {model: [] for model in walks}
    for n, name in enumerate(names):
        known_D = ~np.isnan(outcome_ND[n])
        has_D = {model: ~np.isnan(walk.var_NDL[n]).any(axis=1) for model, walk in walks.items()}
        forecasting = [model for model, has in has_D.items() if (has & known_D).any()]
        common_D = known_D & np.logical_and.reduce([has_D[model] for model in forecasting])
        return_D = np.where(common_D, outcome_ND[n], np.nan)
        first: TailLosses | None = None
        for model, walk in walks.items():
            missing_D = known_D & ~has_D[model]
            reason = _commonest(walk.reason_ND[n, missing_D])
            if not known_D.any():
                reason = "no_outcome"
            elif model in forecasting and common_D.sum() < FEWEST_DAYS:
                reason = reason or "too_few_days"
            counts_D = return_D if model in forecasting else np.full(len(return_D), np.nan)
            var_DL, es_DL = walk.var_NDL[n], walk.es_NDL[n]
            figures = tail_figures(counts_D, var_DL, es_DL, TAIL_LEVELS, first, asked.steps, seed)
            mine = tail_losses(counts_D, var_DL, es_DL, TAIL_LEVELS)
            losses[model].append(mine)
            if first is None and model in forecasting:
                first = mine
            missing = int(missing_D.sum())
            rows += [
                Row(model, asked.kind, name, asked.steps, missing, reason or _too_few(one), one)
                for one in figures
            ]
    return Judged(asked, rows, losses)


def overall(judged: Judged, model: str, seed: int = 0) -> dict[str, Any]:
    """Return what a model's rows say together, as plain JSON, by level: "0.01" and so on.

    pinball, fz: mean over entities of each day's loss, then over days, with the bounds of a 95 % interval over blocks
    of days; null where there is none. passed: of each test the share of entities whose p-value lies above 5 %.
    share: exceedances by days, over all entities. refused: entities without a forecast. too_few: entities whose tests
    say nothing at this level (metrics.tail_figures.too_few_expected); they count in no share of tests passed.
    """
    out: dict[str, Any] = {}
    means = _means(judged, model, seed)
    for level_index, level in enumerate(TAIL_LEVELS.tolist()):
        mine = [row for row in judged.rows if row.model == model and row.figures.level == level]
        figures = [row.figures for row in mine if row.figures.test_days]
        out[f"{level:g}"] = {
            **{name: mean[level_index] for name, mean in means.items()},
            "passed": {test: _passed(figures, test) for test in TESTS},
            "share": _ratio(sum(one.exceedances for one in figures), sum(one.test_days for one in figures)),
            "too_few": sum(bool(_too_few(one)) for one in figures),
            "refused": sum(row.figures.days == 0 for row in mine),
            "entities": len(mine),
        }
    return out


def daily_losses(judged: Judged, model: str, name: str, level_index: int) -> np.ndarray:
    """Return the mean loss over entities of each day, (D,), NaN where no entity has one. name: pinball or fz."""
    loss_ND = np.stack([getattr(one, f"{name}_TL")[:, level_index] for one in judged.losses[model]])
    known_ND = ~np.isnan(loss_ND)
    count_D = known_ND.sum(axis=0)
    return np.where(count_D > 0, np.nansum(loss_ND, axis=0) / np.maximum(count_D, 1), np.nan)


def cells(row: Row) -> list[str | int]:
    """Return a row in the order of COLUMNS, for a CSV: figures with six digits, empty where there is none."""
    values: list[Any] = [getattr(row, name) for name in COLUMNS if hasattr(row, name)]
    values += list(dataclasses.astuple(row.figures))
    return [_cell(value) for value in values]


def number(value: float) -> float | None:
    """Return a figure as JSON has it: six digits, null for none."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _cell(value: Any) -> str | int:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return str(value) if isinstance(value, str) else int(value)


def _means(judged: Judged, model: str, seed: int) -> dict[str, list[list[float | None] | None]]:
    """Return of each loss, for each level, value and bounds; None where there is none."""
    loss_TL = {
        name: np.stack(
            [daily_losses(judged, model, name, level_index) for level_index in range(len(TAIL_LEVELS))],
            axis=1,
        )
        for name in ("pinball", "fz")
    }
    counts_T = ~np.isnan(loss_TL["pinball"]).any(axis=1)
    if counts_T.sum() < FEWEST_DAYS:
        return dict.fromkeys(loss_TL, [None] * len(TAIL_LEVELS))
    both = mean_losses(loss_TL["pinball"][counts_T], loss_TL["fz"][counts_T], judged.asked.steps, seed)
    return {
        name: [
            None if np.isnan(one_3[0]) else [number(value) for value in one_3.tolist()] for one_3 in found_L3
        ]
        for name, found_L3 in zip(loss_TL, both, strict=True)
    }


def _too_few(figures: TailFigures) -> str:
    few = figures.test_days > 0 and too_few_expected(figures.level, figures.test_days)
    return "too_few_expected" if few else ""


def _passed(figures: Sequence[TailFigures], test: str) -> float | None:
    p_values = [getattr(one, f"{test}_p") for one in figures]
    known = [p for p in p_values if not math.isnan(p)]
    return _ratio(sum(p > SIZE for p in known), len(known))


def _ratio(above: float, below: float) -> float | None:
    return number(above / below) if below else None


def _commonest(reason_K: np.ndarray) -> str:
    words = [str(reason) for reason in reason_K if reason]
    return min(set(words), key=lambda word: (-words.count(word), word)) if words else ""
