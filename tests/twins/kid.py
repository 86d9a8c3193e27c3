"""The plain twin of metrics/kid.py: equation 4 of Bińkowski et al. 2018, arXiv:1801.01401, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def kid_of_each_pair(x_NF: np.ndarray, y_MF: np.ndarray, of_x: Sequence[int], of_y: Sequence[int]) -> float:
    """Return the unbiased estimate; pairs of one owner are passed over."""

    def mean(a_NF: np.ndarray, of_a: Sequence[int], b_NF: np.ndarray, of_b: Sequence[int]) -> float:
        total, pairs = 0.0, 0
        for a_F, whose_a in zip(a_NF.tolist(), of_a, strict=True):
            for b_F, whose_b in zip(b_NF.tolist(), of_b, strict=True):
                if whose_a != whose_b:
                    product = sum(one * other for one, other in zip(a_F, b_F, strict=True))
                    total += (product / len(a_F) + 1.0) ** 3
                    pairs += 1
        return total / pairs

    return mean(x_NF, of_x, x_NF, of_x) + mean(y_MF, of_y, y_MF, of_y) - 2.0 * mean(x_NF, of_x, y_MF, of_y)
