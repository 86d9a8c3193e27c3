"""Whether pictures show what was asked for: the share whose own prompt scores highest.

Legend: N pictures, K prompts.
"""

from __future__ import annotations

import math

import numpy as np

from apps.imagegen.metrics.estimate import Estimate, estimate
from core.statistics.bootstrap import SAMPLES


def wins(score_NK: np.ndarray, own_N: np.ndarray) -> np.ndarray:
    """Return which pictures have their own prompt, by its number, strictly above all others, (N,) bool.

    A tie is lost, and so is a score that is NaN: a scorer that scores all prompts alike gets nothing.
    Raises ValueError for fewer than two prompts or an own prompt that is not among them.
    """
    if score_NK.ndim != 2 or score_NK.shape[1] < 2 or len(score_NK) != len(own_N):
        raise ValueError(f"scores are {score_NK.shape} of {len(own_N)} pictures, wanted (N, K), K 2 or more")
    if len(own_N) and not (own_N.min() >= 0 and own_N.max() < score_NK.shape[1]):
        raise ValueError(f"own prompts are {own_N.min()} to {own_N.max()} of {score_NK.shape[1]}")
    rows_N = np.arange(len(own_N))
    other_NK = score_NK.astype(np.float64)
    own_score_N = other_NK[rows_N, own_N].copy()
    other_NK[rows_N, own_N] = -np.inf
    won_N: np.ndarray = own_score_N > other_NK.max(axis=1)
    return won_N


def match(won_N: np.ndarray, own_N: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> Estimate:
    """Return the share of pictures that won, 0 to 1.

    Pictures of one prompt succeed or fail together: the interval resamples prompts.
    """
    prompts, index_N = np.unique(own_N, return_inverse=True)
    won_K = np.bincount(index_N, weights=won_N, minlength=len(prompts))
    count_K = np.bincount(index_N, minlength=len(prompts))
    return estimate(
        lambda weight_K: float(weight_K @ won_K / (weight_K @ count_K)), len(prompts), samples, seed
    )


def chance_among(score_NN: np.ndarray, owner_N: np.ndarray, prompts: int) -> np.ndarray:
    """Return each picture's chance that its own caption wins among so many, the others drawn without order, (N,).

    score_NN: of each picture with each picture's caption, the own one on the diagonal. Captions of the same owner are
    none of the others. Exact: all draws are counted, none is made. Raises ValueError where there are too few others.
    """
    chance_N = np.full(len(owner_N), np.nan)
    for n, score_N in enumerate(score_NN):
        other_M = score_N[owner_N != owner_N[n]]
        if len(other_M) < prompts - 1:
            raise ValueError(f"{len(other_M)} other captions, wanted {prompts - 1}")
        below = int(np.sum(other_M < score_N[n]))
        chance_N[n] = math.comb(below, prompts - 1) / math.comb(len(other_M), prompts - 1)
    return chance_N


def shuffled(own_N: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the same prompts dealt out to the pictures at random, (N,): what a scorer that sees nothing would get."""
    dealt_N: np.ndarray = np.random.default_rng(seed).permutation(own_N)
    return dealt_N
