"""Sizes hold what their names say, and the quantile levels are those risk is reported at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apps.risk.models.sizes import QUANTILE_LEVELS, SIZES, Size
from apps.risk.models.transformer import RiskFormer


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("tiny", 0.5e6, 1.5e6),
        ("50m", 45e6, 55e6),
        ("300m", 270e6, 330e6),
        ("1b", 0.9e9, 1.1e9),
        ("10b", 9.9e9, 10.5e9),
    ],
)
def test_a_size_has_the_parameters_of_its_name(name: str, low: float, high: float) -> None:
    with torch.device("meta"):
        net = RiskFormer(SIZES[name])
    assert low < sum(p.numel() for p in net.parameters()) < high


def test_every_size_is_tried() -> None:
    assert sorted(SIZES) == sorted(["tiny", "50m", "300m", "1b", "10b"])


def test_the_levels_are_those_of_risk_and_mirror_each_other() -> None:
    levels = np.array(QUANTILE_LEVELS)
    assert len(levels) == 21
    assert np.allclose(levels + levels[::-1], 1.0)
    assert (np.diff(levels) > 0).all()
    assert {0.005, 0.01, 0.025, 0.05, 0.5} <= set(QUANTILE_LEVELS)


def test_a_shape_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width is 60, wanted a multiple of 2 × heads, 8"):
        Size(width=60, layers=1, heads=4, kv_heads=2, hidden=8)
    with pytest.raises(ValueError, match=r"heads is 4, wanted a multiple of kv_heads, 3"):
        Size(width=64, layers=1, heads=4, kv_heads=3, hidden=8)
