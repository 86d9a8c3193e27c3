"""Past days drawn for many series together: the same days for all that have them, and each series' own days evenly.

A day is known by the step of its calendar's rule. A ring of as many slots as the window has days holds each series'
last values, each at its step modulo the window; slots are drawn for all series alike. So two series share the days
that both have, whenever they start and end, and what a series draws depends on no other series.
Legend: N series, W days of the window, S paths, H steps, K values of a series.
"""

from __future__ import annotations

import numpy as np

from apps.risk.models.volatility import draw_strata

OFTEN = 10  # paths for each value from which on exact quantiles cost next to nothing of the dependence


class JointDays:
    """Draws of the values of N windows. paths: their number, rounded up to a multiple of the window.

    value_NW: flush right, NaN where there is none. slot_NW: int64, the step of each. Where all slots hold a value each
    is drawn equally often at each step. A slot that no value of a series has is drawn from its K own values in turn.
    Of OFTEN K paths or more the k least values are drawn ⌊k S / K⌋ times, so that quantiles of the draws are theirs.
    """

    def __init__(
        self, value_NW: np.ndarray, slot_NW: np.ndarray, horizon: int, paths: int, seed: int
    ) -> None:
        known_NW = ~np.isnan(value_NW)
        W = known_NW.shape[1]
        self._column_SH, self._copy_SH = draw_strata(W, horizon, paths, seed)
        S = len(self._column_SH)
        self._ring_NW = _ring(known_NW, slot_NW)
        count_N = known_NW.sum(axis=1)
        rank_NW = np.argsort(np.argsort(value_NW, axis=1, kind="stable"), axis=1, kind="stable")  # NaN last
        per_N1 = np.maximum(count_N, 1)[:, None]
        self._first_NW = rank_NW * S // per_N1  # draws of all values below this one
        self._short_N = np.flatnonzero((count_N < W) & (count_N > 0))
        self._turn_HS: list[np.ndarray] = []
        if len(self._short_N):
            self._count_K1 = per_N1[self._short_N]
            self._rounds_K1 = (
                S // self._count_K1 - S // W
            ) * self._count_K1  # draws in which all values have a turn
            last_KW = (rank_NW[self._short_N] + 1) * S // self._count_K1
            once_KW = last_KW - self._first_NW[self._short_N] > S // self._count_K1
            in_turn_KW = np.arange(W) - (W - self._count_K1) < S % self._count_K1
            once_KW = np.where(self._count_K1 * OFTEN <= S, once_KW, in_turn_KW) & known_NW[self._short_N]
            self._rest = np.append(np.nonzero(once_KW)[1], 0)
            self._begin_K1 = (np.cumsum(once_KW.sum(axis=1)) - once_KW.sum(axis=1))[:, None]
            generator = np.random.default_rng([seed, 1])
            self._turn_HS = [generator.permutation(S) for _ in range(horizon)]

    def __len__(self) -> int:
        return len(self._column_SH)

    def at(self, step: int) -> np.ndarray:
        """Return the positions in the window that are drawn at a step, (N, S) int64; -1 of a series without values."""
        column_NS = self._ring_NW[:, self._column_SH[:, step]]
        if len(self._short_N):
            turn_S, own_KS = self._turn_HS[step], column_NS[self._short_N]
            missing_KS = own_KS[:, turn_S] < 0
            number_KS = np.maximum(np.cumsum(missing_KS, axis=1) - 1, 0)
            in_turn_KS = self._ring_NW.shape[1] - self._count_K1 + number_KS % self._count_K1
            rest_KS = self._begin_K1 + np.maximum(number_KS - self._rounds_K1, 0)
            rest_KS = self._rest[np.minimum(rest_KS, len(self._rest) - 1)]
            drawn_KS = np.where(number_KS < self._rounds_K1, in_turn_KS, rest_KS)
            own_KS[:, turn_S] = np.where(missing_KS, drawn_KS, own_KS[:, turn_S])
            column_NS[self._short_N] = own_KS
        return column_NS

    def strata_at(self, step: int) -> np.ndarray:
        """Return at a step each path's rank among the S equally likely strata of a series, (N, S) int64, none twice.

        A path lies within the share of its value's rank.
        """
        column_NS = self.at(step)
        first_NS = np.take_along_axis(self._first_NW, column_NS, axis=1)
        order_NS = np.argsort(first_NS * len(self) + self._shuffled(step), axis=1, kind="stable")
        out_NS = np.empty_like(order_NS)
        np.put_along_axis(out_NS, order_NS, np.arange(len(self))[None], axis=1)
        return out_NS

    def _shuffled(self, step: int) -> np.ndarray:
        """Return the order of a step's paths within a value, (S,): that of their copies, then of their slots."""
        W = self._ring_NW.shape[1]
        return self._copy_SH[:, step] * W + self._column_SH[:, step]


def _ring(known_NW: np.ndarray, slot_NW: np.ndarray) -> np.ndarray:
    """Return which value of a window each slot of the ring holds, (N, W) int64, -1 for none.

    Of values at one slot the latest has it, the others fill slots that are empty, in their order.
    """
    N, W = known_NW.shape
    entity_K, column_K = np.nonzero(known_NW)
    slot_K = slot_NW[entity_K, column_K] % W
    ring_NW = np.full((N, W), -1, dtype=np.int64)
    ring_NW[entity_K, slot_K] = column_K  # of several the last one counts
    left_NW = np.zeros((N, W), dtype=bool)
    out_K = ring_NW[entity_K, slot_K] != column_K
    left_NW[entity_K[out_K], column_K[out_K]] = True
    crowded_N = np.flatnonzero(left_NW.any(axis=1))
    if len(crowded_N):
        empty_CW = np.argsort(ring_NW[crowded_N] >= 0, axis=1, kind="stable")  # empty slots first
        left_CW = np.argsort(~left_NW[crowded_N], axis=1, kind="stable")  # values without a slot first
        row_C, rank_C = np.nonzero(np.arange(W) < left_NW[crowded_N].sum(axis=1)[:, None])
        ring_NW[crowded_N[row_C], empty_CW[row_C, rank_C]] = left_CW[row_C, rank_C]
    return ring_NW
