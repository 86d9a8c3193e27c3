"""Tails from what past forecasts left over, not from a network: its outermost quantiles are its least certain ones.

Filtered historical residuals (Barone-Adesi et al. 1999,
doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S): what came less the median, in units of the distance
that the network saw between its 10 % and 90 % quantiles. They make the quantiles from 5 % down and from 95 % up. Those
of the training hold for all series; each series' own last steps move them (`own_tails`).
Legend: N entities, D dates, H steps ahead, K steps ahead that residuals were taken of, Q quantile levels, R residuals.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from apps.risk.models.paths import volatility_of
from apps.risk.models.quantile_curve import fit_shape
from apps.risk.models.sizes import QUANTILE_LEVELS

LEVELS = np.array(QUANTILE_LEVELS)
_TAIL = (LEVELS <= 0.05) | (LEVELS >= 0.95)
_MEDIAN, _LOW, _HIGH = (int(np.flatnonzero(level == LEVELS)[0]) for level in (0.5, 0.1, 0.9))

RECENT = 500  # last steps of a series whose values shape its tails
WORTH = 500  # values that the residuals of the training count for beside them


class Tails(NamedTuple):
    """residual_KQ: quantiles of residuals 1 … K steps ahead (later steps take the last row); None: the network's own.

    shapes: of the tails beyond the outermost quantiles (models/quantile_curve.py).
    """

    residual_KQ: np.ndarray | None = None
    shapes: tuple[float, float] = (0.2, 0.2)


def with_tails(quantile_HQ: np.ndarray, residual_KQ: np.ndarray | None) -> np.ndarray:
    """Return quantiles, (…, H, Q), rising along Q, whose tails are residuals in the network's units; None: as given.

    residual_KQ: (…, K, Q), the same for all series or those of each.
    """
    if residual_KQ is None:
        return quantile_HQ
    step_H = np.minimum(np.arange(quantile_HQ.shape[-2]), residual_KQ.shape[-2] - 1)
    median, width = _median_and_width(quantile_HQ)
    out_HQ = quantile_HQ.copy()
    out_HQ[..., _TAIL] = median[..., None] + width[..., None] * residual_KQ[..., step_H, :][..., _TAIL]
    lower = np.minimum.accumulate(out_HQ[..., _MEDIAN::-1], axis=-1)[..., ::-1]
    upper = np.maximum.accumulate(out_HQ[..., _MEDIAN:], axis=-1)
    return np.concatenate([lower, upper[..., 1:]], axis=-1)


def residuals_of(quantile_Q: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Return what came, (…), less the median of its quantiles, (…, Q), in units of the inner 80 %.

    NaN or infinite where one of them is not known.
    """
    median, width = _median_and_width(quantile_Q)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (came - median) / width


def by_step(residual_RH: np.ndarray) -> list[np.ndarray]:
    """Return of each step ahead the residuals that are known, H times (R,)."""
    return [residual_R[np.isfinite(residual_R)] for residual_R in residual_RH.T]


def quantiles_of(residual_HR: Sequence[np.ndarray]) -> np.ndarray:
    """Return the residuals' quantiles, (H, Q)."""
    return np.stack([np.quantile(residual_R, LEVELS) for residual_R in residual_HR])


def fit_tails(residual_HR: Sequence[np.ndarray]) -> Tails:
    """Return the residuals' quantiles, and the shapes of the first step's tails beyond them."""
    residual_HQ, first_R = quantiles_of(residual_HR), residual_HR[0]
    row_RQ = np.broadcast_to(residual_HQ[0], (len(first_R), len(LEVELS)))
    lower, upper = fit_shape(row_RQ, LEVELS, first_R), fit_shape(-row_RQ[:, ::-1], LEVELS, -first_R)
    return Tails(residual_HQ, (lower, upper))


def own_tails(past_NT: np.ndarray, residual_KQ: np.ndarray) -> np.ndarray:
    """Return residuals of each series, (N, K, Q): those of the training, moved towards the shape of its own last steps.

    That shape: quantiles of its last RECENT values, each in units of the exponentially weighted volatility before it,
    taken as residuals are (for a level its changes: where they are smaller than its distances from its median). Own
    values count against WORTH of the training's. So a series has the same tails alone and among others.
    """
    own_NQ, count_N = _shape(past_NT[:, -RECENT - 1 :])
    _, width_N = _median_and_width(own_NQ)
    share_N = np.where(width_N > 0.0, count_N / (count_N + WORTH), 0.0)
    residual_NQ = np.where(share_N[:, None] > 0.0, residuals_of(own_NQ[:, None], own_NQ), 0.0)
    moved_NQ = share_N[:, None] * (residual_NQ - residual_KQ[0])
    return np.asarray(residual_KQ + moved_NQ[:, None])


def walked(
    network_NDQ: np.ndarray, came_ND: np.ndarray, begin: int, every: int, residual_KQ: np.ndarray | None
) -> np.ndarray:
    """Return one-step quantiles of dates begin … D - 1, each with the tails of the dates before it, (N, D - begin, Q).

    The tails (`own_tails`) serve for `every` dates. residual_KQ: None leaves the network's own. network_NDQ, came_ND:
    NaN where there is none.
    """
    if residual_KQ is None:
        return network_NDQ[:, begin:]
    parts = []
    for day in range(begin, network_NDQ.shape[1], every):
        tails_NKQ = own_tails(came_ND[:, :day], residual_KQ)
        parts.append(with_tails(network_NDQ[:, day : day + every, None], tails_NKQ[:, None])[:, :, 0])
    return np.concatenate(parts, axis=1)


def _shape(value_NT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles of values in units of their volatility, (N, Q), 0 where there is none; and how many, (N,)."""
    if value_NT.shape[1] < 2:
        return np.zeros((len(value_NT), len(LEVELS))), np.zeros(len(value_NT), dtype=np.int64)
    change_NT = np.diff(value_NT, axis=1, prepend=np.nan)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a series without a value has no mean
        distance_NT = value_NT - _medians(value_NT)[:, None]
        level_N = np.nanmean(np.abs(change_NT), axis=1) < np.nanmean(np.abs(distance_NT), axis=1)
    value_NT = np.where(level_N[:, None], change_NT, distance_NT)
    z_NT = value_NT[:, 1:] / volatility_of(value_NT)[:, :-1]
    sorted_NT, count_N = np.sort(z_NT, axis=1), np.isfinite(z_NT).sum(axis=1)  # NaN comes last
    index_NQ = np.maximum(count_N - 1, 0)[:, None] * LEVELS
    low_NQ = np.floor(index_NQ).astype(np.int64)
    high_NQ = np.minimum(low_NQ + 1, np.maximum(count_N - 1, 0)[:, None])
    below_NQ, above_NQ = (np.take_along_axis(sorted_NT, at_NQ, axis=1) for at_NQ in (low_NQ, high_NQ))
    return np.nan_to_num(below_NQ + (index_NQ - low_NQ) * (above_NQ - below_NQ)), count_N


def _medians(value_NT: np.ndarray) -> np.ndarray:
    """Return the median of what is known of each series, (N,); NaN where nothing is."""
    sorted_NT, count_N1 = np.sort(value_NT, axis=1), np.isfinite(value_NT).sum(axis=1, keepdims=True)
    index_N2 = np.hstack([np.maximum(count_N1 - 1, 0) // 2, count_N1 // 2])
    return np.asarray(np.take_along_axis(sorted_NT, index_N2, axis=1).sum(axis=1) / 2.0)


def _median_and_width(quantile_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return quantile_Q[..., _MEDIAN], quantile_Q[..., _HIGH] - quantile_Q[..., _LOW]
