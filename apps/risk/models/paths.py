"""Joint futures from quantiles of each series at each step: the margins are the model's, dependence is the past's.

The past is cut into blocks of as many days as the horizon has. In a block, each series' values stand in units of its
volatility at the block's beginning, so that calm and storm within it count; their ranks among all blocks say which
quantile is taken. One block is one future of all series and all steps, so what moved together moves together, over
series and over days (the Schaake shuffle; Clark et al. 2004, doi:10.1175/1525-7541(2004)005<0243:TSSAMF>2.0.CO;2).
Nothing is drawn at random: all blocks occur equally often.
Legend: N series, T past steps, H steps ahead, Q quantile levels, W blocks, S paths, L tail levels,
C futures of a block, X = N H W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from apps.risk.models.forecast import PathForecast
from apps.risk.models.quantile_curve import curve_weights, shortfall_weights, strata_weights
from apps.risk.models.volatility import DECAY

BLOCKS = 500
PATHS = 1000  # futures where nobody says how many: two of each block
TOGETHER = 32  # series whose paths are worked on at a time: a processor's cache holds them
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, eq=False)
class QuantileStep:
    """One step in closed form. quantile_NQ at level_Q; shapes of the two tails."""

    quantiles: np.ndarray
    levels: np.ndarray
    shapes: tuple[float, float]

    def quantile_NQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return quantiles at any levels, (N, Q)."""
        return self.quantiles @ curve_weights(self.levels, np.asarray(level_Q), self.shapes)

    def es_NL(self, level_L: np.ndarray) -> np.ndarray:
        """Return expected shortfalls, (N, L)."""
        return self.quantiles @ shortfall_weights(self.levels, np.asarray(level_L), self.shapes)


def paths_from_quantiles(
    quantile_NHQ: np.ndarray,
    level_Q: np.ndarray,
    history_NT: np.ndarray,
    paths: int,
    reason_N: tuple[str, ...],
    shapes: tuple[float, float] = (0.2, 0.2),
) -> PathForecast:
    """Return S joint futures, S the least multiple of the number of blocks from `paths` on.

    history_NT: on one calendar, NaN where nothing is known; a block in which a series has a gap gets a rank from a
    sequence that depends on the block alone. Each step of a series takes on the S values of its law's strata.
    quantile_NHQ: NaN for a series that was refused, with its reason.
    """
    rank_NHW = block_ranks(history_NT, quantile_NHQ.shape[1])
    N, H, W = rank_NHW.shape
    copies = -(-paths // W)
    weight_QS = strata_weights(level_Q, W * copies, shapes)
    path_NHS = np.empty((N, H, W * copies))  # as whoever sorts the paths wants them
    for first in range(0, N, TOGETHER):
        some = slice(first, first + TOGETHER)
        value_XC = (quantile_NHQ[some] @ weight_QS).reshape(-1, copies)
        row_NHW = rank_NHW[some] + np.arange(0, len(value_XC), W).reshape(-1, H, 1)
        path_NHS[some] = value_XC.take(row_NHW.ravel(), axis=0).reshape(-1, H, W * copies)
    return PathForecast(path_NHS.transpose(2, 0, 1), reason_N)


def block_ranks(history_NT: np.ndarray, horizon: int, most: int = BLOCKS) -> np.ndarray:
    """Return the rank of each block's value among those of all blocks, (N, H, W) int64, 0 … W - 1, none twice.

    The last `most` blocks that the history holds, or one where it holds none.
    """
    N, T = history_NT.shape
    blocks = max(min(T - horizon, most), 1)
    value_NT = history_NT[:, -(blocks + horizon) :].astype(np.float64)
    if value_NT.shape[1] < blocks + horizon:
        value_NT = np.full((N, blocks + horizon), np.nan)
    ahead_NWH = np.lib.stride_tricks.sliding_window_view(value_NT[:, 1:], horizon, axis=1)[:, :blocks]
    z_NHW = (ahead_NWH / volatility_of(value_NT)[:, :blocks, None]).transpose(0, 2, 1)
    # a gap takes the position that a uniform draw would have, the same one in each series
    spread_W = np.arange(1, blocks + 1) * _GOLDEN % 1.0
    known_NH1 = np.isfinite(z_NHW).sum(axis=2, keepdims=True)
    order_NHW = _ranks(z_NHW)
    if (known_NH1 == blocks).all():
        return order_NHW
    share_NHW = np.where(np.isfinite(z_NHW), (order_NHW + 0.5) / np.maximum(known_NH1, 1), spread_W)
    return _ranks(share_NHW)


def _ranks(value_NHW: np.ndarray) -> np.ndarray:
    order_NHW = np.argsort(value_NHW, axis=2, kind="stable")
    rank_NHW = np.empty_like(order_NHW)
    np.put_along_axis(rank_NHW, order_NHW, np.arange(value_NHW.shape[2])[None, None], axis=2)
    return rank_NHW


def volatility_of(value_NT: np.ndarray) -> np.ndarray:
    """Return the exponentially weighted root mean square up to each step, (N, T); over gaps it stays."""
    known_NT = np.isfinite(value_NT)
    count_NT = known_NT.cumsum(axis=1)
    order_NT = np.argsort(~known_NT, axis=1, kind="stable")  # known values first, in their order
    square_NK = np.where(known_NT, value_NT, 0.0)
    square_NK = np.take_along_axis(square_NK, order_NT, axis=1) ** 2
    mean_N1 = square_NK.sum(axis=1, keepdims=True) / np.maximum(count_NT[:, -1:], 1)
    start_N1 = np.where(mean_N1 > 0.0, mean_N1, 1.0)
    later_NK, _ = lfilter([1.0], [1.0, -DECAY], (1.0 - DECAY) * square_NK, axis=1, zi=DECAY * start_N1)
    mean_NT = np.take_along_axis(np.concatenate([start_N1, later_NK], axis=1), count_NT, axis=1)
    return np.sqrt(np.maximum(mean_NT, np.finfo(np.float64).tiny))
