"""How often a test rejects a true VaR: its size, simulated, beside the size it claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.risk.metrics.checks import check_at_least, check_share, check_tail_level

DAYS = (250, 500, 1000)
SAMPLES = 10_000
# Samples made together: bounds memory, changes no draw.
_CHUNK = 1000


@dataclass(frozen=True, eq=False)
class SizeTable:
    """Share of true forecasts rejected, for D lengths of sample.

    nominal: the size claimed. size_D: the share of p-values ≤ nominal; an undefined p-value (NaN) does not
    reject. standard_error_D: of the simulation. samples: simulated for each length.
    """

    level: float
    nominal: float
    samples: int
    days_D: np.ndarray
    size_D: np.ndarray
    standard_error_D: np.ndarray


def simulated_size(
    p_values: Callable[[np.ndarray, float], np.ndarray],
    level: float,
    days: tuple[int, ...] = DAYS,
    nominal: float = 0.05,
    samples: int = SAMPLES,
    seed: int = 0,
) -> SizeTable:
    """Tabulate the size of a test of VaR exceedances, under independent hits of probability `level`.

    p_values: takes hits, (B, days) bool, and the level, returns (B,) p-values, such as
    coverage_tests.kupiec_p_values. A length's figure depends on the seed and on itself, not on other lengths.
    Raises ValueError for a level or nominal size outside its range, and without a length or a sample.
    """
    check_tail_level(level)
    check_share("nominal", nominal)
    check_at_least("samples", samples, 1)
    check_at_least("number of lengths", len(days), 1)
    size_D = (
        np.array([_rejections(p_values, level, length, nominal, samples, seed) for length in days]) / samples
    )
    return SizeTable(
        level=level,
        nominal=nominal,
        samples=samples,
        days_D=np.array(days),
        size_D=size_D,
        standard_error_D=np.sqrt(size_D * (1.0 - size_D) / samples),
    )


def _rejections(
    p_values: Callable[[np.ndarray, float], np.ndarray],
    level: float,
    days: int,
    nominal: float,
    samples: int,
    seed: int,
) -> int:
    generator = np.random.default_rng([seed, days])
    rejected = 0
    for done in range(0, samples, _CHUNK):
        hit_BT = generator.random((min(_CHUNK, samples - done), days)) < level
        rejected += int(np.sum(p_values(hit_BT, level) <= nominal))
    return rejected
