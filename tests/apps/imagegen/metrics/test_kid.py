"""KID against a plain twin, and the laws that hold for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.imagegen.metrics.kid import kid
from tests.twins.kid import kid_of_each_pair


def features(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(shift, 1.0, size=(count, 24))).astype(np.float32)


def test_equal_to_the_twin() -> None:
    x_NF, y_MF = features(9), features(7, 0.5, seed=1)
    result = kid(x_NF, y_MF, np.arange(9), np.arange(9, 16), samples=20)
    assert result.value == pytest.approx(kid_of_each_pair(x_NF, y_MF, list(range(9)), list(range(9, 16))))


@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=8), st.lists(st.integers(0, 5), min_size=4, max_size=8)
)
@settings(max_examples=25, deadline=None)
def test_equal_to_the_twin_whoever_owns_the_pictures(of_x: list[int], of_y: list[int]) -> None:
    x_NF, y_MF = features(len(of_x)), features(len(of_y), 0.3, seed=2)
    if len(set(of_x)) < 2 or len(set(of_y)) < 2 or len({*of_x, *of_y}) < 2:
        with pytest.raises(ValueError, match="wanted 2 or more"):
            kid(x_NF, y_MF, np.array(of_x), np.array(of_y), samples=1)
        return
    result = kid(x_NF, y_MF, np.array(of_x), np.array(of_y), samples=1).value
    assert result == pytest.approx(kid_of_each_pair(x_NF, y_MF, of_x, of_y), abs=1e-9)


def test_a_set_beside_itself_has_no_distance() -> None:
    x_NF, owner_N = features(12), np.arange(12)
    result = kid(x_NF, x_NF, owner_N, owner_N, samples=50)
    np.testing.assert_allclose(result, 0.0, atol=1e-9)


def test_unbiased_over_sets_of_one_kind() -> None:
    """The mean over many small sets is 0 within three standard errors; the biased estimator is far above."""
    result = np.array(
        [
            kid(features(8, seed=2 * n), features(8, seed=2 * n + 1), np.arange(8), np.arange(8, 16), 1).value
            for n in range(200)
        ]
    )
    assert abs(result.mean()) < 3.0 * result.std() / np.sqrt(len(result))


def test_grows_with_the_difference_and_the_interval_tells_it() -> None:
    real_NF, owner_N, owner_M = features(60), np.arange(60), np.arange(60, 120)
    result = [kid(features(60, shift, 1), real_NF, owner_M, owner_N) for shift in (0.0, 0.5, 1.0, 2.0)]
    values = [one.value for one in result]
    assert values == sorted(values)
    assert result[0].lower < 0.0 < result[0].upper
    assert result[2].lower > 0.0
    assert all(one.lower < one.value < one.upper for one in result)


def test_symmetric() -> None:
    x_NF, y_MF, owner_N, owner_M = features(9), features(7, 0.5, seed=1), np.arange(9), np.arange(9, 16)
    there, back = (
        kid(*sets, samples=1).value
        for sets in ((x_NF, y_MF, owner_N, owner_M), (y_MF, x_NF, owner_M, owner_N))
    )
    assert there == pytest.approx(back)


def test_one_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="a set has 1 owners, wanted 2 or more"):
        kid(features(1), features(5), np.array([0]), np.arange(1, 6))
