"""Tails from what past forecasts left over, not from a network: its outermost quantiles are its least certain ones.

Filtered historical residuals (Barone-Adesi et al. 1999,
doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S): what came less the median, in units of the distance
that the network saw between its 10 % and 90 % quantiles. They make the quantiles from 5 % down and from 95 % up.
Legend: N entities, D dates, H steps ahead, K steps ahead that residuals were taken of, Q quantile levels, R residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from apps.risk.models.quantile_curve import fit_shape
from apps.risk.models.sizes import QUANTILE_LEVELS

LEVELS = np.array(QUANTILE_LEVELS)
_TAIL = (LEVELS <= 0.05) | (LEVELS >= 0.95)
_MEDIAN, _LOW, _HIGH = (int(np.flatnonzero(level == LEVELS)[0]) for level in (0.5, 0.1, 0.9))


class Tails(NamedTuple):
    """residual_KQ: quantiles of residuals 1 … K steps ahead (later steps take the last row); None: the network's own.

    shapes: of the tails beyond the outermost quantiles (models/quantile_curve.py).
    """

    residual_KQ: np.ndarray | None = None
    shapes: tuple[float, float] = (0.2, 0.2)


def with_tails(quantile_HQ: np.ndarray, residual_KQ: np.ndarray | None) -> np.ndarray:
    """Return quantiles, (…, H, Q), rising along Q, whose tails are residuals in the network's units; None: as given."""
    if residual_KQ is None:
        return quantile_HQ
    step_H = np.minimum(np.arange(quantile_HQ.shape[-2]), len(residual_KQ) - 1)
    median, width = _median_and_width(quantile_HQ)
    out_HQ = quantile_HQ.copy()
    out_HQ[..., _TAIL] = median[..., None] + width[..., None] * residual_KQ[step_H][:, _TAIL]
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


def walked(
    network_NDQ: np.ndarray,
    came_ND: np.ndarray,
    begin: int,
    every: int,
    recent: int,
    least: int,
    otherwise_KQ: np.ndarray | None,
) -> np.ndarray:
    """Return one-step quantiles of dates begin … D - 1, each with the tails of the dates before it, (N, D - begin, Q).

    The residuals of the `recent` dates before serve for `every` dates; where they are fewer than `least`,
    otherwise_KQ does. network_NDQ, came_ND: NaN where there is none.
    """
    residual_ND = residuals_of(network_NDQ, came_ND)
    parts = []
    for day in range(begin, network_NDQ.shape[1], every):
        seen_R = by_step(residual_ND[:, max(day - recent, 0) : day].reshape(-1, 1))[0]
        row_KQ = quantiles_of([seen_R]) if len(seen_R) >= least else otherwise_KQ
        parts.append(with_tails(network_NDQ[:, day : day + every, None], row_KQ)[:, :, 0])
    return np.concatenate(parts, axis=1)


def _median_and_width(quantile_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return quantile_Q[..., _MEDIAN], quantile_Q[..., _HIGH] - quantile_Q[..., _LOW]
