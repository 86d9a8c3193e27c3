"""From a few quantiles to the whole distribution: between them by the normal law, beyond them by a power law.

All of it is linear in the quantiles, so that quantiles at any levels, and the mean below one, are one matrix product.
Legend: Q levels of the quantiles, S levels asked for, L tail levels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from apps.risk.models.strata import strata

_ANCHOR = 0.025  # the tail's scale is what lies between this level and the outermost one


def curve_weights(level_Q: np.ndarray, at_S: np.ndarray, shapes: tuple[float, float]) -> np.ndarray:
    """Return (Q, S): quantiles (…, Q) times it are the quantiles at levels at_S.

    Between two levels a quantile is linear in the normal score of its level. Beyond the outermost ones the excess over
    the quantile at 2.5 % (97.5 %) follows a generalised Pareto law (Pickands 1975, doi:10.1214/aos/1176343003) whose
    scale the two outer quantiles give. shapes: of the lower and upper tail, 0 < shape < 1. level_Q rises, from below
    2.5 % to above 97.5 %, and holds both. What was asked for lately is kept, and may not be written to.
    """
    return _curve(np.float64(level_Q).tobytes(), np.float64(at_S).tobytes(), shapes)


def below_weights(level_Q: np.ndarray, at_S: np.ndarray, shapes: tuple[float, float]) -> np.ndarray:
    """Return (Q, S): quantiles (…, Q) times it are integrals of the quantile function from 0 to levels at_S, 0..1."""
    low, high = _anchors(level_Q)
    score_Q, below_QS = ndtri(level_Q), np.zeros((len(level_Q), len(at_S)))
    deep_S = np.minimum(at_S, level_Q[0])
    excess_S = _integral(deep_S, level_Q[0], level_Q[low], shapes[0])
    below_QS[low] += deep_S - excess_S
    below_QS[0] += excess_S
    for index in range(len(level_Q) - 1):
        until_S = np.clip(at_S, level_Q[index], level_Q[index + 1])
        width_S = until_S - level_Q[index]
        # the integral of the normal score is minus the normal density
        score_S = _density(score_Q[index]) - _density(ndtri(until_S)) - score_Q[index] * width_S
        above_S = score_S / (score_Q[index + 1] - score_Q[index])
        below_QS[index] += width_S - above_S
        below_QS[index + 1] += above_S
    rest_S = np.minimum(1.0 - at_S, 1.0 - level_Q[-1])
    outer = (1.0 - level_Q[-1], 1.0 - level_Q[high], shapes[1])
    excess_S = _integral(np.array([outer[0]]), *outer) - _integral(rest_S, *outer)
    below_QS[high] += outer[0] - rest_S - excess_S
    below_QS[-1] += excess_S
    return below_QS


def shortfall_weights(level_Q: np.ndarray, level_L: np.ndarray, shapes: tuple[float, float]) -> np.ndarray:
    """Return (Q, L): quantiles (…, Q) times it are the means below the quantiles at level_L."""
    return below_weights(level_Q, level_L, shapes) / level_L


def strata_weights(level_Q: np.ndarray, count: int, shapes: tuple[float, float]) -> np.ndarray:
    """Return (Q, S): quantiles (…, Q) times it are S equally likely values of the law (apps.risk.models.strata).

    What was asked for lately is kept, and may not be written to.
    """
    return _strata(np.float64(level_Q).tobytes(), count, shapes)


@lru_cache(maxsize=64)
def _curve(levels: bytes, at: bytes, shapes: tuple[float, float]) -> np.ndarray:
    level_Q, at_S = np.frombuffer(levels), np.frombuffer(at)
    low, high = _anchors(level_Q)
    weight_QS = _between(level_Q, at_S)
    below_S, above_S = at_S < level_Q[0], at_S > level_Q[-1]
    weight_QS[:, below_S] = 0.0
    deep_S = _excess(at_S[below_S], level_Q[0], level_Q[low], shapes[0])
    weight_QS[low, below_S], weight_QS[0, below_S] = 1.0 - deep_S, deep_S
    weight_QS[:, above_S] = 0.0
    far_S = _excess(1.0 - at_S[above_S], 1.0 - level_Q[-1], 1.0 - level_Q[high], shapes[1])
    weight_QS[high, above_S], weight_QS[-1, above_S] = 1.0 - far_S, far_S
    weight_QS.flags.writeable = False
    return weight_QS


@lru_cache(maxsize=64)
def _strata(levels: bytes, count: int, shapes: tuple[float, float]) -> np.ndarray:
    level_Q = np.frombuffer(levels)
    value_QS = strata(
        lambda at_S: curve_weights(level_Q, at_S, shapes),
        lambda at_S: below_weights(level_Q, at_S, shapes),
        count,
    )
    value_QS.flags.writeable = False
    return value_QS


def fit_shape(quantile_DQ: np.ndarray, level_Q: np.ndarray, value_D: np.ndarray) -> float:
    """Return the shape of the lower tail under which the outcomes below the outermost quantile are most likely.

    value_D: outcomes, one for each row of quantiles; only those below the first quantile count.
    The likelihood of the generalised Pareto law over a grid from 0.02 to 0.6: pooled over series, as extreme
    outcomes of one are few (McNeil & Frey 2000, doi:10.1016/S0927-5398(00)00012-8). 0.2 where fewer than 20 lie there.
    For the upper tail hand in what is negated and reversed.
    """
    low, _ = _anchors(level_Q)
    scale_D = quantile_DQ[:, low] - quantile_DQ[:, 0]
    deep_D = (value_D < quantile_DQ[:, 0]) & (scale_D > 0.0)
    if deep_D.sum() < 20:
        return 0.2
    excess_X = (quantile_DQ[deep_D, low] - value_D[deep_D]) / scale_D[deep_D]
    grid = np.arange(0.02, 0.61, 0.01)
    return float(grid[np.argmax([_likelihood(excess_X, level_Q[low] / level_Q[0], shape) for shape in grid])])


def _likelihood(excess_X: np.ndarray, ratio: float, shape: float) -> float:
    """Return the log-likelihood of excesses above 1, in units of what lies between anchor and outermost quantile."""
    scale = shape / (ratio**shape - 1.0)
    tail_X = 1.0 + shape * excess_X / scale
    ahead = 1.0 + shape / scale  # of being beyond the outermost quantile at all
    return float(
        np.sum(np.log(1.0 / scale) - (1.0 / shape + 1.0) * np.log(tail_X))
        + len(excess_X) / shape * np.log(ahead)
    )


def _integral(level: np.ndarray, first: float, anchor: float, shape: float) -> np.ndarray:
    """Return the integral of `_excess` from 0 to a level."""
    whole = (anchor / first) ** shape
    return (anchor**shape * level ** (1.0 - shape) / (1.0 - shape) - level) / (whole - 1.0)


def _density(score: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)


def _excess(level: np.ndarray, first: float, anchor: float, shape: float) -> np.ndarray:
    return ((anchor / level) ** shape - 1.0) / ((anchor / first) ** shape - 1.0)


def _between(level_Q: np.ndarray, at_S: np.ndarray) -> np.ndarray:
    """Return (Q, S) weights of linear interpolation in normal scores; the outermost quantile beyond it."""
    score_Q, score_S = ndtri(level_Q), ndtri(at_S)
    index_S = np.clip(np.searchsorted(score_Q, score_S, side="right") - 1, 0, len(level_Q) - 2)
    step_S = np.clip((score_S - score_Q[index_S]) / (score_Q[index_S + 1] - score_Q[index_S]), 0.0, 1.0)
    weight_QS = np.zeros((len(level_Q), len(at_S)))
    column_S = np.arange(len(at_S))
    weight_QS[index_S, column_S] = 1.0 - step_S
    weight_QS[index_S + 1, column_S] = step_S
    return weight_QS


def _anchors(level_Q: np.ndarray) -> tuple[int, int]:
    low, high = (int(np.argmin(np.abs(level_Q - level))) for level in (_ANCHOR, 1.0 - _ANCHOR))
    if not (
        np.isclose(level_Q[low], _ANCHOR) and np.isclose(level_Q[high], 1.0 - _ANCHOR) and 0 < low < high
    ):
        raise ValueError("the levels must hold 2.5 % and 97.5 %, and one beyond each")
    return low, high
