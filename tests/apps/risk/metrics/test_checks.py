"""The one rule of missing values, and refusals with value and wanted."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.metrics.checks import (
    check_at_least,
    check_not_infinite,
    check_same_shape,
    check_share,
    check_tail_level,
    check_weights,
    counted,
)

NAN, INF = np.nan, np.inf


def test_missing_and_masked_outcomes_do_not_count() -> None:
    actual = np.array([1.0, NAN, 3.0, 4.0])
    mask = np.array([True, True, False, True])
    assert counted(actual).tolist() == [True, False, True, True]
    assert counted(actual, mask).tolist() == [True, False, False, True]
    assert counted(actual, mask.astype(int)).tolist() == [True, False, False, True]


def test_a_forecast_may_be_missing_or_infinite_only_where_nothing_counts() -> None:
    actual = np.array([1.0, NAN, 3.0])
    quantile = np.array([[0.0, 1.0], [NAN, INF], [2.0, 3.0]])
    assert counted(actual, forecast=np.array([1.0, NAN, 2.0]), quantile=quantile).tolist() == [
        True,
        False,
        True,
    ]
    with pytest.raises(ValueError, match="quantile is missing 1 times where the outcome counts"):
        counted(actual, quantile=np.array([[0.0, NAN], [NAN, NAN], [2.0, 3.0]]))
    with pytest.raises(ValueError, match="forecast has 1 infinite values, wanted finite numbers"):
        counted(actual, forecast=np.array([1.0, INF, INF]))


def test_infinite_outcomes_are_refused_unless_masked() -> None:
    actual = np.array([1.0, -INF, 3.0])
    with pytest.raises(ValueError, match="actual has 1 infinite values"):
        counted(actual)
    assert counted(actual, np.array([True, False, True])).sum() == 2


@pytest.mark.parametrize(
    ("actual", "mask"),
    [(np.full(3, NAN), None), (np.ones(3), np.zeros(3, dtype=bool)), (np.zeros(0), None)],
)
def test_nothing_to_judge_is_refused(actual: np.ndarray, mask: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match=f"nothing to judge: none of {len(actual)} outcomes counts"):
        counted(actual, mask)


def test_shapes_that_differ_are_reported() -> None:
    with pytest.raises(ValueError, match=r"wanted equal: actual \(3,\), forecast \(4,\)"):
        counted(np.ones(3), forecast=np.ones(4))
    with pytest.raises(ValueError, match=r"wanted equal: actual \(3,\), quantile \(2,\)"):
        counted(np.ones(3), quantile=np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"wanted equal: actual \(3,\), mask \(1,\)"):
        counted(np.ones(3), np.ones(1, dtype=bool))
    with pytest.raises(ValueError, match=r"wanted equal: a \(1,\), b \(2,\)"):
        check_same_shape(a=np.ones(1), b=np.ones(2))


@pytest.mark.parametrize("level", [0.0, -0.01, 0.95, 1.0, 5.0, NAN])
def test_a_level_of_no_tail_is_refused(level: float) -> None:
    with pytest.raises(
        ValueError, match=f"level is {level}, wanted the tail's probability, above 0 and at most 0.5"
    ):
        check_tail_level(level)


def test_a_median_is_the_widest_tail() -> None:
    check_tail_level(0.5)
    check_tail_level(1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 95.0, NAN])
def test_a_share_lies_inside_0_and_1(value: float) -> None:
    check_share("level", 0.95)
    with pytest.raises(ValueError, match=f"level is {value}, wanted above 0 and below 1"):
        check_share("level", value)


def test_too_few_are_refused() -> None:
    check_at_least("lags", 0, 0)
    with pytest.raises(ValueError, match="lags is -1, wanted at least 0"):
        check_at_least("lags", -1, 0)


def test_infinities_are_counted_and_nan_is_let_through() -> None:
    check_not_infinite(a=np.array([NAN, 1.0]))
    with pytest.raises(ValueError, match="b has 2 infinite values"):
        check_not_infinite(a=np.array([NAN]), b=np.array([INF, 0.0, -INF]))


def test_weights_are_ones_unless_given() -> None:
    assert check_weights(None, 3).tolist() == [1.0, 1.0, 1.0]
    assert check_weights(np.array([0, 2, 1]), 3).tolist() == [0.0, 2.0, 1.0]
    with pytest.raises(ValueError, match=r"weights have shape \(2,\), wanted \(3,\)"):
        check_weights(np.ones(2), 3)


@pytest.mark.parametrize("bad", [-1.0, NAN, INF])
def test_impossible_weights_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="a weight is negative or not finite"):
        check_weights(np.array([1.0, bad]), 2)
