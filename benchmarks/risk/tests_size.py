"""How often each backtest rejects a VaR or ES that is true: its size, beside the 5 % that it claims.

Legend: B samples, T days, S draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student_t

from apps.risk.metrics.coverage_tests import (
    conditional_coverage_p_values,
    independence_p_values,
    kupiec_p_values,
)
from apps.risk.metrics.diebold_mariano import diebold_mariano
from apps.risk.metrics.dynamic_quantile import dynamic_quantile_p_values
from apps.risk.metrics.es_tests import acerbi_szekely_z1, acerbi_szekely_z2
from apps.risk.metrics.tail_scores import pinball_loss
from apps.risk.metrics.traffic_light import traffic_light
from benchmarks.risk.simulated_size import DAYS, SAMPLES, SizeTable, simulated_size

LEVELS = (0.01, 0.025, 0.05)
NOMINAL = 0.05
SLOW = 5  # tests that take one row at a time get a fifth of the samples
FREEDOM = 5  # of the t law of the returns
DRAWS = 999
NOISE = 0.3  # of the two VaR forecasts compared, in the unit of the returns
PValues = Callable[[np.ndarray, float], np.ndarray]
PROTOCOL = (
    "Samples of independent days whose VaR is true: an exceedance has the probability of the level on each day. Share "
    "of samples with p ≤ {nominal:g}; an undefined p-value does not reject. Tests of ES, and Diebold-Mariano, see "
    "returns of Student's t with {freedom} degrees of freedom around those exceedances, and the true VaR and ES; their "
    "p-values come from {draws} draws of that law, the same for all samples. Diebold-Mariano compares two VaR "
    "forecasts that err by independent noise of the same size: neither is better. A test without a p-value, the "
    "traffic light, rejects where it is not green. {samples:,} samples a cell, a fifth for tests that see returns; "
    "intervals: exact 95 % (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404) of the simulation."
)


def run(
    samples: str = str(SAMPLES),
    days: str = ",".join(map(str, DAYS)),
    levels: str = ",".join(map(str, LEVELS)),
    seed: str = "0",
) -> dict[str, Any]:
    """Return the record: test → method of its p-value → level → days → size with its interval."""
    lengths = tuple(int(length) for length in days.split(","))
    tails = [float(level) for level in levels.split(",")]
    sizes: dict[str, dict[str, Any]] = {}
    for (test, method), (p_values, share) in backtests(int(seed)).items():
        count = max(int(samples) // share, 1)
        measured = {
            f"{level:g}": cells(simulated_size(p_values, level, lengths, NOMINAL, count, int(seed)))
            for level in tails
        }
        sizes.setdefault(test, {})[method] = measured
    return {
        "headline": _headline(sizes, tails[0], lengths[0]),
        "protocol": PROTOCOL.format(nominal=NOMINAL, freedom=FREEDOM, draws=DRAWS, samples=int(samples)),
        "nominal": NOMINAL,
        "sizes": sizes,
    }


def _headline(sizes: dict[str, dict[str, Any]], level: float, days: int) -> dict[str, str]:
    """Return the sizes at one level and length, as a reader would look for them."""
    return {
        f"size of {test} ({method}) at {100 * level:g} %, {days} days": f"{100 * value['value']:.1f} %"
        for test, methods in sizes.items()
        for method, by_level in methods.items()
        for value in [by_level[f"{level:g}"][str(days)]]
    }


def backtests(seed: int = 0) -> dict[tuple[str, str], tuple[PValues, int]]:
    """Return by test and method of its p-value what takes hits (B, T) and a level; and the divisor of its samples."""
    return {
        ("kupiec", "exact"): (kupiec_p_values, 1),
        ("kupiec", "asymptotic"): (partial(kupiec_p_values, p_value="asymptotic"), 1),
        ("christoffersen independence", "exact"): (_independence("exact"), 1),
        ("christoffersen independence", "asymptotic"): (_independence("asymptotic"), 1),
        ("christoffersen conditional coverage", "exact"): (conditional_coverage_p_values, 1),
        ("christoffersen conditional coverage", "asymptotic"): (
            partial(conditional_coverage_p_values, p_value="asymptotic"),
            1,
        ),
        ("dynamic quantile", "monte carlo"): (partial(dynamic_quantile_p_values, seed=seed + 1), 1),
        ("dynamic quantile", "asymptotic"): (partial(dynamic_quantile_p_values, p_value="asymptotic"), 1),
        ("basel traffic light", "not green"): (_traffic_light, 1),
        ("acerbi-szekely 1", "monte carlo"): (_AgainstReturns(_z1, seed), SLOW),
        ("acerbi-szekely 2", "monte carlo"): (_AgainstReturns(_z2, seed), SLOW),
        ("diebold-mariano", "student t"): (_AgainstReturns(_compared, seed), SLOW),
    }


def cells(table: SizeTable) -> dict[str, dict[str, float]]:
    """Return days → value, low, high."""
    measured = {}
    for length, size in zip(table.days_D, table.size_D, strict=True):
        interval = binomtest(round(size * table.samples), table.samples).proportion_ci()
        measured[str(length)] = {
            "value": float(size),
            "low": float(interval.low),
            "high": float(interval.high),
        }
    return measured


def _independence(method: str) -> PValues:
    def p_values(hit_BT: np.ndarray, level: float) -> np.ndarray:  # noqa: ARG001
        return independence_p_values(hit_BT, "exact" if method == "exact" else "asymptotic")

    return p_values


def _traffic_light(hit_BT: np.ndarray, level: float) -> np.ndarray:
    count_B = hit_BT.sum(axis=1)
    green = {x: traffic_light(int(x), hit_BT.shape[1], level).zone == "green" for x in np.unique(count_B)}
    return np.array([1.0 if green[x] else 0.0 for x in count_B])


class _AgainstReturns:
    """Puts returns around given exceedances, and asks a test of returns row by row."""

    def __init__(
        self, test: Callable[[np.ndarray, float, np.ndarray, np.random.Generator], float], seed: int
    ) -> None:
        self._test = test
        self._generator = np.random.default_rng([seed, 2])
        self._seed = seed

    def __call__(self, hit_BT: np.ndarray, level: float) -> np.ndarray:
        """Return p-values, (B,)."""
        share_BT = self._generator.random(hit_BT.shape)
        return_BT = student_t.ppf(
            np.where(hit_BT, share_BT * level, level + share_BT * (1.0 - level)), FREEDOM
        )
        draw_ST = student_t.rvs(
            FREEDOM, size=(DRAWS, hit_BT.shape[1]), random_state=np.random.default_rng([self._seed, 3])
        )
        return np.array([self._test(return_T, level, draw_ST, self._generator) for return_T in return_BT])


def true_tail(level: float) -> tuple[float, float]:
    """Return VaR and ES of the t law; ES after McNeil, Frey & Embrechts 2015, Quantitative risk management, 2.3.4."""
    var = float(student_t.ppf(level, FREEDOM))
    density = float(student_t.pdf(var, FREEDOM))
    return var, -density / level * (FREEDOM + var**2) / (FREEDOM - 1)


def _z1(return_T: np.ndarray, level: float, draw_ST: np.ndarray, _: np.random.Generator) -> float:
    var, es = true_tail(level)
    whole_T = np.ones_like(return_T)
    return acerbi_szekely_z1(return_T, var * whole_T, es * whole_T, draw_ST).p_value


def _z2(return_T: np.ndarray, level: float, draw_ST: np.ndarray, _: np.random.Generator) -> float:
    var, es = true_tail(level)
    whole_T = np.ones_like(return_T)
    return acerbi_szekely_z2(return_T, var * whole_T, es * whole_T, level, draw_ST).p_value


def _compared(return_T: np.ndarray, level: float, _: np.ndarray, generator: np.random.Generator) -> float:
    var, _es = true_tail(level)
    loss_2T = [
        pinball_loss(return_T, var + NOISE * generator.standard_normal(len(return_T)), level)
        for _ in range(2)
    ]
    return diebold_mariano(loss_2T[0], loss_2T[1]).p_two_sided
