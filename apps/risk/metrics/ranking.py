"""Which of several models is best by several losses at once: the mean of its ranks.

Legend: M models, K criteria.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def mean_ranks(loss_MK: np.ndarray) -> np.ndarray:
    """Return each model's mean rank over the criteria, (M,): 1 is best, equal losses share the mean rank.

    A missing loss (NaN) counts as the worst. A criterion that all models lack is left out. Raises ValueError for
    another shape, no model or no criterion with a loss. Source of the comparison by mean ranks: Demšar 2006, Journal of
    Machine Learning Research 7.
    """
    if loss_MK.ndim != 2 or not len(loss_MK):
        raise ValueError(f"losses have shape {loss_MK.shape}, wanted (models, criteria), one model at least")
    known_K = ~np.isnan(loss_MK).all(axis=0)
    if not known_K.any():
        raise ValueError("no model has a loss by any criterion, wanted one at least")
    worst_MK = np.where(np.isnan(loss_MK[:, known_K]), np.inf, loss_MK[:, known_K])
    return np.asarray(rankdata(worst_MK, axis=0).mean(axis=1))


def winner(loss_MK: np.ndarray) -> int:
    """Return the number of the model of least mean rank; of equal ones the least by the first criterion."""
    rank_M = mean_ranks(loss_MK)
    first_M = np.where(np.isnan(loss_MK[:, 0]), np.inf, loss_MK[:, 0])
    return int(np.lexsort((first_M, np.round(rank_M, 9)))[0])
