"""KID: how far two sets of pictures lie apart, on features of a network that the caller names.

Source: Bińkowski et al. 2018, arXiv:1801.01401. Legend: N and M pictures, F features, O owners.
"""

from __future__ import annotations

import numpy as np

from apps.imagegen.metrics.estimate import Estimate, estimate
from core.statistics.bootstrap import SAMPLES


def kid(
    x_NF: np.ndarray,
    y_MF: np.ndarray,
    owner_N: np.ndarray,
    owner_M: np.ndarray,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return the squared maximum mean discrepancy under the kernel (x · y / F + 1)³, unbiased.

    Two sets of one kind give about 0, a little below as easily as above.

    owner_N, owner_M: whole numbers from 0. A picture and its reconstruction, or its other colour, share an owner: pairs
    of one owner do not count, neither within a set nor across, and the interval resamples owners. Without that, a set
    beside its own reconstructions would seem nearer than another set of the very same kind.
    Raises ValueError where a set has fewer than two owners.
    """
    for owner in (owner_N, owner_M):
        if len(np.unique(owner)) < 2:
            raise ValueError(f"a set has {len(np.unique(owner))} owners, wanted 2 or more")
    _, owner_B = np.unique(np.concatenate([owner_N, owner_M]), return_inverse=True)
    owner_N, owner_M = np.split(owner_B, [len(owner_N)])
    sets = ((x_NF, owner_N, x_NF, owner_N), (y_MF, owner_M, y_MF, owner_M), (x_NF, owner_N, y_MF, owner_M))
    owners = int(owner_B.max()) + 1
    sums = [_sums_of_pairs(*one, owners) for one in sets]

    def distance(weight_O: np.ndarray) -> float:
        within_x, within_y, across = (_mean(kernel_OO, count_OO, weight_O) for kernel_OO, count_OO in sums)
        return within_x + within_y - 2.0 * across

    return estimate(distance, owners, samples, seed)


def _sums_of_pairs(
    x_NF: np.ndarray, owner_N: np.ndarray, y_MF: np.ndarray, owner_M: np.ndarray, owners: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the kernel and the number of pairs, (O, O) each, by the pair's owners; none of one owner."""
    x_NF, y_MF = x_NF.astype(np.float64), y_MF.astype(np.float64)
    kernel_NM = (x_NF @ y_MF.T / x_NF.shape[1] + 1.0) ** 3
    into_ON, into_OM = (np.eye(owners)[owner].T for owner in (owner_N, owner_M))
    kernel_OO = into_ON @ kernel_NM @ into_OM.T
    count_OO = np.outer(into_ON.sum(axis=1), into_OM.sum(axis=1))
    np.fill_diagonal(kernel_OO, 0.0)
    np.fill_diagonal(count_OO, 0.0)
    return kernel_OO, count_OO


def _mean(kernel_OO: np.ndarray, count_OO: np.ndarray, weight_O: np.ndarray) -> float:
    pairs = float(weight_O @ count_OO @ weight_O)
    return float(weight_O @ kernel_OO @ weight_O) / pairs if pairs > 0.0 else float("nan")
