"""Every test answers with the same counts of the same days, and nothing changes a result afterwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.risk.metrics.coverage_tests import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceedances,
    kupiec,
)
from apps.risk.metrics.dynamic_quantile import dynamic_quantile
from apps.risk.metrics.es_tests import acerbi_szekely_z1, acerbi_szekely_z2
from apps.risk.metrics.results import BacktestResult

LEVEL = 0.05


def results() -> list[BacktestResult]:
    """All tests over 100 days with seven exceedances, two of a hundred and two days without a return."""
    generator = np.random.default_rng(0)
    return_T = np.insert(generator.uniform(-0.9, 1.0, 100), [10, 60], np.nan)
    return_T[20:27] = -2.0
    var_T, es_T = np.full(102, -1.0), np.full(102, -1.5)
    draw_ST = generator.normal(size=(99, 102))
    hit_T = exceedances(return_T, var_T)
    return [
        kupiec(hit_T, LEVEL),
        christoffersen_independence(hit_T),
        christoffersen_conditional_coverage(hit_T, LEVEL),
        dynamic_quantile(return_T, var_T, LEVEL, draws=99),
        acerbi_szekely_z1(return_T, var_T, es_T, draw_ST),
        acerbi_szekely_z2(return_T, var_T, es_T, LEVEL, draw_ST),
    ]


def test_every_test_counts_the_same_days() -> None:
    assert {(result.days, result.exceedances) for result in results()} == {(100, 7)}


def test_a_result_stays_as_it_was_made() -> None:
    for result in results():
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.p_value = 1.0  # type: ignore[misc]
