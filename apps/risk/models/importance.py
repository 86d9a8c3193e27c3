"""How much a forecast owes to each column, by shuffling one column at a time.

Legend: N entities, R rows, H steps ahead, Q levels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from apps.risk.data.history import history_NT, known_until, steps_known
from apps.risk.data.panel import Panel, by_calendar, take
from apps.risk.data.windows import Windows
from apps.risk.metrics.forecast import quantile_losses
from apps.risk.models.interface import TargetModel

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def permutation_importance(
    model: TargetModel,
    panel: Panel,
    label: str,
    horizon: int,
    *,
    paths: int = 200,
    seed: int = 0,
    most: int = 200,
) -> dict[str, float]:
    """Return for each covariate by how much of itself the loss grows when its values are permuted.

    Source: Breiman 2001, doi:10.1023/A:1010933404324; Fisher, Rudin & Dominici 2019, JMLR 20(177).
    The loss is the mean pinball loss of the panel's last H steps before the as-of date, forecast from what lies
    before them, each series in units of its spread. A column of the rows is shuffled over all rows, a static over
    entities. 0: the model does not look at it; below 0: chance. Empty where no outcome can be judged, or all are hit
    exactly. most: entities used, drawn by the seed, and of those the ones of the most frequent calendar.
    """
    drawn = np.random.default_rng([seed, 0]).permutation(len(panel.entities))[:most]
    some = max(
        by_calendar(take(panel, np.isin(np.arange(len(panel.entities)), drawn))),
        key=lambda part: len(part.entities),
    )
    before = known_until(some, steps_known(some) - horizon)
    answers = Windows(before, 1, horizon).latest()
    index = some.columns.labels.index(label)
    actual_NH = answers.label_BHT[..., index].double().numpy()
    known_NH = answers.label_known_BHT[..., index].numpy()
    spread_N = _spread(history_NT(before, label, 250))

    def loss(seen: Panel) -> float:
        quantile_NHQ = model.forecast(seen, label, horizon, paths, seed).quantile_NHQ(LEVELS)
        mask_NH = known_NH & np.isfinite(quantile_NHQ).all(axis=2)
        if not mask_NH.any():
            return np.nan
        filled_NHQ = np.where(mask_NH[..., None], quantile_NHQ, 0.0)
        return float(quantile_losses(actual_NH, filled_NHQ, LEVELS, mask_NH, 1.0 / spread_N).mean())

    whole = loss(before)
    if not whole > 0.0:
        return {}
    columns = before.columns
    names = [name for name in (*columns.features, *columns.statics, *columns.static_numbers) if name != label]
    return {
        name: (loss(_shuffled(before, name, np.random.default_rng([seed, 1, number]))) - whole) / whole
        for number, name in enumerate(names)
    }


def _shuffled(panel: Panel, name: str, rng: np.random.Generator) -> Panel:
    """Return the panel with the known values of one column in another order; what is missing stays so."""
    columns = panel.columns
    if name in columns.statics:
        code_NS, index = panel.code_NS.copy(), columns.statics.index(name)
        code_NS[:, index] = rng.permutation(code_NS[:, index])
        return replace(panel, code_NS=code_NS)
    if name in columns.static_numbers:
        number_NM, index = panel.number_NM.copy(), columns.static_numbers.index(name)
        _shuffle(number_NM[:, index], rng)
        return replace(panel, number_NM=number_NM)
    value_RF, index = panel.value_RF.copy(), columns.features.index(name)
    _shuffle(value_RF[:, index], rng)
    return replace(panel, value_RF=value_RF)


def _shuffle(value_X: np.ndarray, rng: np.random.Generator) -> None:
    known_X = ~np.isnan(value_X)
    value_X[known_X] = rng.permutation(value_X[known_X])


def _spread(past_NT: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each entity's known values, (N,); 1 where there is none."""
    known_NT = ~np.isnan(past_NT)
    count_N = np.maximum(known_NT.sum(axis=1), 1)
    mean_N = np.sum(past_NT, axis=1, where=known_NT) / count_N
    square_NT = (np.where(known_NT, past_NT, mean_N[:, None]) - mean_N[:, None]) ** 2
    spread_N = np.sqrt(square_NT.sum(axis=1) / count_N)
    return np.where(spread_N > 0.0, spread_N, 1.0)
