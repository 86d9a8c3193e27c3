"""A figure with its interval, as all metrics of this app return it. Legend: O owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from core.statistics.bootstrap import SAMPLES, bootstrap


class Estimate(NamedTuple):
    """A figure with the bounds of its 95 % interval."""

    value: float
    lower: float
    upper: float


def estimate(
    statistic: Callable[[np.ndarray], float], owners: int, samples: int = SAMPLES, seed: int = 0
) -> Estimate:
    """Return a statistic of all owners, and its percentile interval over resampled ones.

    statistic: takes how often each owner counts, (O,).
    """
    bound_21 = bootstrap(lambda weight_O: np.array([statistic(weight_O)]), owners, samples, seed)
    return Estimate(float(statistic(np.ones(owners))), *bound_21[:, 0].tolist())
