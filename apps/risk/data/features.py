"""One wide row of numbers for each window, for models that know no time: last values, summaries, who it is.

NaN where nothing is known, whatever replaces it is up to the model.
Legend: B windows, C steps of the past, F columns with a past, W features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from apps.risk.data.columns import Columns
from apps.risk.data.panel import UNSEEN
from apps.risk.data.windows import Batch

LAGS = 6


@dataclass(frozen=True, eq=False)
class Features:
    """names: W, such as status[-1]. x_BW: float64."""

    names: tuple[str, ...]
    x_BW: np.ndarray


def features_of(batch: Batch, columns: Columns, lags: int = LAGS) -> Features:
    """Return the features of some windows.

    Of each column: its last values, `bill[-1]` the latest one, at most `lags`; over all of the past that is known
    its `bill.mean`, `bill.max` and `bill.trend` (change a step of the straight line, by least squares; NaN where
    fewer than two values are known). Latest and mean beside the size of the client, `bill[-1]/limit`, for each
    static number where it is above 0. Of a column known in advance what is ahead, `due[+1]` the first. `rows`: how
    many steps of the past there are, at most C. Then static numbers, and static categories by their code.
    """
    past_BCF = np.where(batch.past_known_BCF.numpy(), batch.past_BCF.numpy(), np.nan).astype(np.float64)
    ahead_BHK = np.where(batch.ahead_known_BHK.numpy(), batch.ahead_BHK.numpy(), np.nan).astype(np.float64)
    mean_BF, max_BF, trend_BF = _summaries(past_BCF)
    C, H = past_BCF.shape[1], ahead_BHK.shape[1]
    number_BM = batch.number_BM.numpy().astype(np.float64)
    size_BM = np.where(number_BM > 0.0, number_BM, np.nan)
    named: dict[str, np.ndarray] = {}
    for index, name in enumerate(columns.features):
        for lag in range(1, min(lags, C) + 1):
            named[f"{name}[-{lag}]"] = past_BCF[:, C - lag, index]
        named[f"{name}.mean"] = mean_BF[:, index]
        named[f"{name}.max"] = max_BF[:, index]
        named[f"{name}.trend"] = trend_BF[:, index]
        for number, size in enumerate(columns.static_numbers):
            named[f"{name}[-1]/{size}"] = past_BCF[:, C - 1, index] / size_BM[:, number]
            named[f"{name}.mean/{size}"] = mean_BF[:, index] / size_BM[:, number]
    for index, name in enumerate(columns.known):
        named |= {f"{name}[+{step}]": ahead_BHK[:, step - 1, index] for step in range(1, min(lags, H) + 1)}
    named["rows"] = batch.length_B.numpy().astype(np.float64)
    named |= {name: number_BM[:, index] for index, name in enumerate(columns.static_numbers)}
    code_BS = batch.code_BS.numpy()
    code_BS = np.where(code_BS == UNSEEN, np.nan, code_BS)
    named |= {name: code_BS[:, index] for index, name in enumerate(columns.statics)}
    return Features(tuple(named), np.stack(list(named.values()), axis=1))


def telling(features: Features) -> tuple[str, ...]:
    """Return the features that differ between windows: one always the same, or never known, carries no information."""
    known_BW = ~np.isnan(features.x_BW)
    low_W = np.where(known_BW, features.x_BW, np.inf).min(axis=0, initial=np.inf)
    high_W = np.where(known_BW, features.x_BW, -np.inf).max(axis=0, initial=-np.inf)
    differs_W = (low_W < high_W) | (known_BW.any(axis=0) & ~known_BW.all(axis=0))
    return tuple(name for name, differs in zip(features.names, differs_W, strict=True) if differs)


def pick(features: Features, names: tuple[str, ...]) -> np.ndarray:
    """Return the columns of some features, (B, len(names)); raises KeyError for a name that is none of them."""
    index = {name: number for number, name in enumerate(features.names)}
    return features.x_BW[:, [index[name] for name in names]]


def column_of(feature: str, columns: Columns) -> str:
    """Return the column that a feature comes from: of status[-1] it is status; of rows, rows itself."""
    names = (*columns.features, *columns.static_numbers, *columns.statics)
    if feature in names:
        return feature
    matches = [name for name in columns.features if feature.startswith((f"{name}[", f"{name}."))]
    return max(matches, key=len, default=feature)


def _summaries(past_BCF: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, largest value and trend of what is known, (B, F) each."""
    known_BCF = ~np.isnan(past_BCF)
    step_C = np.arange(past_BCF.shape[1], dtype=np.float64)[None, :, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing known there is no mean: NaN is meant
        mean_BF = np.nanmean(past_BCF, axis=1)
        max_BF = np.nanmax(past_BCF, axis=1)
        count_BF = known_BCF.sum(axis=1)
        middle_BF = np.where(known_BCF, step_C, 0.0).sum(axis=1) / count_BF
        away_BCF = np.where(known_BCF, step_C - middle_BF[:, None], 0.0)
        above = np.nansum(away_BCF * (past_BCF - mean_BF[:, None]), axis=1)
        trend_BF = np.where(count_BF > 1, above / (away_BCF**2).sum(axis=1), np.nan)
    return mean_BF, max_BF, trend_BF
