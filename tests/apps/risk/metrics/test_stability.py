"""PSI by hand, its laws, and the bins of ties, new values and missing ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.metrics.stability import MISSING, categorical_stability, numeric_stability

NAN = np.nan


def plain(reference: list[float], current: list[float]) -> float:
    """The sum as printed, over counts to which half an observation is added."""
    n, m, bins = sum(reference), sum(current), len(reference)
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        expected, actual = (r + 0.5) / (n + 0.5 * bins), (c + 0.5) / (m + 0.5 * bins)
        total += (actual - expected) * math.log(actual / expected)
    return total


def test_numeric_by_hand() -> None:
    reference = np.arange(1.0, 101.0)
    current = np.concatenate([np.full(70, 5.0), np.full(30, 1000.0)])
    result = numeric_stability(reference, current, bins=4)
    assert result.bins == ("≤ 25", "≤ 50", "≤ 75", "> 75")
    assert result.psi == pytest.approx(plain([25, 25, 25, 25], [70, 0, 0, 30]))
    assert result.psi == pytest.approx(result.part_K.sum())
    assert result.reference_share_K == pytest.approx([0.25] * 4)
    assert result.current_share_K == pytest.approx([70.5 / 102, 0.5 / 102, 0.5 / 102, 30.5 / 102])


def test_categorical_by_hand() -> None:
    reference = np.array(["a"] * 6 + ["b"] * 4, dtype=object)
    current = np.array(["b"] * 3 + ["new"] * 5 + [None, NAN], dtype=object)
    result = categorical_stability(reference, current)
    assert result.bins == ("a", "b", "new", MISSING)
    assert result.psi == pytest.approx(plain([6, 4, 0, 0], [0, 3, 5, 2]))


def test_categories_may_be_numbers_or_text_arrays() -> None:
    numbers = categorical_stability(np.array([1, 1, 2]), np.array([2, 2, 3]))
    assert numbers.bins == ("1", "2", "3")
    text = categorical_stability(np.array(["x", "x", "y"]), np.array(["y", "y", "z"]))
    assert text.psi == numbers.psi == pytest.approx(plain([2, 1, 0], [0, 2, 1]))


def test_missing_is_a_bin_where_either_side_has_it() -> None:
    values = np.arange(20.0)
    assert MISSING not in numeric_stability(values, values).bins
    gone = np.where(values < 10, NAN, values)
    for result in (numeric_stability(values, gone, 2), numeric_stability(gone, values, 2)):
        assert result.bins[-1] == MISSING
        assert result.psi > 0.25
    assert numeric_stability(values, gone, 2).psi == pytest.approx(plain([10, 10, 0], [0, 10, 10]))
    all_gone = numeric_stability(values, np.full(5, NAN), 2)
    assert all_gone.psi == pytest.approx(plain([10, 10, 0], [0, 0, 5]))


def test_ties_make_fewer_bins_and_a_pile_at_the_end_is_distinguished_from_what_lies_beyond() -> None:
    reference = np.repeat([0.0, 1.0, 7.0], [60, 20, 20])
    result = numeric_stability(reference, reference)
    assert result.bins[1:] == ("≤ 0", "≤ 1", "≤ 7", "> 7")
    assert result.psi == 0.0
    below, above = reference - 1e-9, np.where(reference == 7.0, 8.0, reference)
    assert numeric_stability(reference, np.where(reference == 0.0, below, reference)).psi > 0.25
    assert numeric_stability(reference, above).psi > 0.25
    constant = np.full(50, 3.0)
    assert numeric_stability(constant, constant).psi == 0.0
    assert numeric_stability(constant, constant + 1.0).psi == pytest.approx(plain([0, 50, 0], [0, 0, 50]))
    assert numeric_stability(constant, constant - 1.0).psi == pytest.approx(plain([0, 50, 0], [50, 0, 0]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
    st.lists(st.sampled_from("bcde"), min_size=1, max_size=40),
)
def test_it_is_never_negative_zero_for_itself_and_symmetric(reference: list[str], current: list[str]) -> None:
    one, other = np.array(reference), np.array(current)
    assert categorical_stability(one, one).psi == 0.0
    assert categorical_stability(one, other).psi >= 0.0
    assert categorical_stability(one, other).psi == pytest.approx(categorical_stability(other, one).psi)


def test_without_a_move_it_is_as_large_as_its_law_says() -> None:
    # Yurdakul & Naranjo 2020: PSI / (1/N + 1/M) is chi-squared with K - 1 degrees of freedom, mean K - 1
    generator = np.random.default_rng(0)
    result = [
        numeric_stability(generator.normal(size=2000), generator.normal(size=1000)).psi for _ in range(200)
    ]
    assert np.mean(result) == pytest.approx(9 * (1 / 2000 + 1 / 1000), rel=0.15)
    moved = numeric_stability(generator.normal(size=2000), generator.normal(0.5, size=1000))
    assert moved.psi > 0.2


def test_a_rising_change_of_scale_moves_nothing() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=300), generator.normal(0.3, size=200)
    assert numeric_stability(np.exp(one), np.exp(other)).psi == numeric_stability(one, other).psi
    assert numeric_stability(1e18 * one, 1e18 * other).psi == numeric_stability(one, other).psi


def test_impossible_inputs_are_refused() -> None:
    values = np.arange(5.0)
    with pytest.raises(ValueError, match="bins is 1, wanted at least 2"):
        numeric_stability(values, values, bins=1)
    with pytest.raises(ValueError, match="current_M has 1 infinite values"):
        numeric_stability(values, np.array([np.inf]))
    with pytest.raises(ValueError, match="the reference is missing in all 3 values"):
        numeric_stability(np.full(3, NAN), values)
    with pytest.raises(ValueError, match=r"current_M has shape \(0,\), wanted one row of values"):
        numeric_stability(values, np.zeros(0))
    with pytest.raises(ValueError, match=r"reference_N has shape \(1, 5\), wanted one row of values"):
        categorical_stability(values[None], values)
