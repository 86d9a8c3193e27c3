"""Scaling: back and forth, whatever the unit; what is not known has no part in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from apps.risk.models.scaling import LARGEST, scale_of, scaled, unscaled

ROWS = torch.tensor([[1.0, 2.0, 4.0, 9.0]], dtype=torch.float64)
ALL = torch.ones(1, 4, dtype=torch.bool)


def test_middle_and_spread_are_mean_and_mean_absolute_deviation() -> None:
    middle, spread = scale_of(ROWS, ALL)
    assert middle.item() == pytest.approx(4.0)
    assert spread.item() == pytest.approx((3 + 2 + 0 + 5) / 4)


def test_what_is_not_known_has_no_part() -> None:
    known = torch.tensor([[True, False, True, True]])
    results = []
    for value in (2.0, 1e30, float("nan"), float("inf")):
        rows = ROWS.clone()
        rows[0, 1] = value
        results.append(scale_of(rows, known))
    assert results[0].middle_B.item() == pytest.approx(14 / 3)
    assert all(torch.equal(a, b) for r in results for a, b in zip(r, results[0], strict=True))


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=20),
    st.floats(-1e6, 1e6),
    st.floats(0.01, 1e4),
)
def test_another_unit_gives_the_same_scaled_series_and_comes_back(
    values: list[float], shift: float, factor: float
) -> None:
    rows = torch.tensor([values], dtype=torch.float64)
    known = torch.ones_like(rows, dtype=torch.bool)
    first, other = scale_of(rows, known), scale_of(rows * factor + shift, known)
    varies = np.ptp(values) * factor > 1e-4 * (abs(shift) + factor * 100)
    if varies:
        z = scaled(rows, first)
        assert torch.allclose(z, scaled(rows * factor + shift, other), atol=1e-6)
        assert torch.allclose(unscaled(z[..., None], first)[..., 0], rows, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e18, 1e-30])
def test_a_constant_series_has_spread_one(value: float) -> None:
    rows = torch.full((1, 5), value)
    middle, spread = scale_of(rows, torch.ones(1, 5, dtype=torch.bool))
    assert middle.item() == pytest.approx(value, rel=1e-6)
    assert spread.item() == 1.0


def test_nothing_known_gives_nought_and_one() -> None:
    middle, spread = scale_of(ROWS, ~ALL)
    assert (middle.item(), spread.item()) == (0.0, 1.0)


def test_huge_values_stay_finite() -> None:
    rows = torch.tensor([[1e38, -1e38, 3e37, 0.0]])
    z = scaled(rows, scale_of(rows, ALL))
    assert torch.isfinite(z).all()
    assert scaled(torch.tensor([[1e38] * 4]), scale_of(ROWS.float(), ALL)).max().item() == LARGEST
