"""Tails are quantiles of what past forecasts left over, in the network's units; the bulk stays the network's."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from apps.risk.models.residual_tails import (
    LEVELS,
    RECENT,
    WORTH,
    by_step,
    fit_tails,
    own_tails,
    quantiles_of,
    residuals_of,
    walked,
    with_tails,
)

Z_Q = norm.ppf(LEVELS)
INNER = Z_Q[16] - Z_Q[4]  # from the 10 % to the 90 % quantile of a normal law


def test_a_residual_is_distance_from_the_median_in_inner_widths() -> None:
    quantile_NQ = np.stack([3.0 + 2.0 * Z_Q, np.full(21, np.nan), np.full(21, 1.0)])
    result = residuals_of(quantile_NQ, np.array([3.0 + 2.0 * INNER, 1.0, 5.0]))
    assert result[0] == 1.0
    assert np.isnan(result[1])
    assert np.isinf(result[2])  # a network that saw no width at all
    assert [len(one) for one in by_step(result[:, None])] == [1]


def test_tails_replace_the_outermost_levels_and_nothing_else() -> None:
    quantile_HQ = np.stack([Z_Q, 10.0 * Z_Q, 10.0 * Z_Q])
    wide_KQ = np.stack([2.0 * Z_Q / INNER, 3.0 * Z_Q / INNER])
    result = with_tails(quantile_HQ, wide_KQ)
    np.testing.assert_array_equal(result[:, 4:17], quantile_HQ[:, 4:17])
    for step, factor in enumerate((2.0, 30.0, 30.0)):  # later steps take the last row
        np.testing.assert_allclose(
            result[step, [0, 1, 2, 3, 17, 18, 19, 20]], factor * Z_Q[[0, 1, 2, 3, 17, 18, 19, 20]]
        )
    assert with_tails(quantile_HQ, None) is quantile_HQ


def test_tails_never_cross_the_bulk() -> None:
    result = with_tails(Z_Q[None], np.zeros((1, 21)))
    assert (np.diff(result, axis=-1) >= 0).all()
    assert result[0, 0] == Z_Q[4]


def test_fitted_tails_are_those_of_the_residuals() -> None:
    residual_HR = [np.random.default_rng(0).standard_t(3, size=20_000), np.linspace(-1.0, 1.0, 201)]
    tails = fit_tails(residual_HR)
    assert tails.residual_KQ is not None
    np.testing.assert_array_equal(tails.residual_KQ, quantiles_of(residual_HR))
    assert tails.residual_KQ[1, 10] == 0.0
    thin = fit_tails([np.random.default_rng(0).normal(size=20_000)])
    assert all(heavy > light for heavy, light in zip(tails.shapes, thin.shapes, strict=True))


def test_own_values_move_the_tails_by_their_number_and_shape() -> None:
    draw = np.random.default_rng(0)
    stored_KQ = np.stack([Z_Q / INNER, 1.1 * Z_Q / INNER])
    wild = draw.standard_t(3, size=RECENT + 1)
    past_NT = np.stack(
        [np.full(RECENT + 1, 3.0), wild, 100.0 * wild + 7.0, np.full(RECENT + 1, np.nan), wild]
    )
    past_NT[4, : -WORTH // 4 - 1] = np.nan
    result_NKQ = own_tails(past_NT, stored_KQ)
    np.testing.assert_array_equal(result_NKQ[[0, 3]], np.stack([stored_KQ] * 2))  # no shape of its own
    np.testing.assert_allclose(result_NKQ[1], result_NKQ[2], atol=0.05)  # in any unit
    assert (result_NKQ[1, :, 0] < stored_KQ[:, 0] - 0.1).all()  # a heavier tail than the normal one
    np.testing.assert_allclose(result_NKQ[1, 1] - result_NKQ[1, 0], stored_KQ[1] - stored_KQ[0])
    near, far = (np.abs(result_NKQ[n, 0, 0] - stored_KQ[0, 0]) for n in (4, 1))
    assert 0.0 < near < far
    for n in range(5):
        np.testing.assert_array_equal(own_tails(past_NT[n : n + 1], stored_KQ)[0], result_NKQ[n])
    np.testing.assert_array_equal(own_tails(past_NT[:, -1:], stored_KQ), np.stack([stored_KQ] * 5))


def test_of_a_level_the_changes_count() -> None:
    """A random walk's own values are those of a trend; its changes have heavy tails."""
    change = np.random.default_rng(0).standard_t(3, size=RECENT)
    level = np.concatenate([[50.0], 50.0 + change.cumsum()])
    result = [own_tails(one[None], (Z_Q / INNER)[None]) for one in (level, np.append(0.0, change))]
    np.testing.assert_allclose(result[0], result[1], atol=0.02)


def test_a_walk_takes_the_values_before_each_date_alone() -> None:
    network_NDQ = np.tile(Z_Q, (2, 40, 1))
    came_ND = np.random.default_rng(0).normal(size=(2, 40))
    given_KQ = np.full((1, 21), 9.0)
    walk = walked(network_NDQ, came_ND, 30, 4, given_KQ)
    assert walk.shape == (2, 10, 21)
    for day in (30, 34, 38):
        tails_NKQ = own_tails(came_ND[:, :day], given_KQ)
        wanted = with_tails(network_NDQ[:, day : day + 4, None], tails_NKQ[:, None])[:, :, 0]
        np.testing.assert_array_equal(walk[:, day - 30 : day - 26], wanted)
    np.testing.assert_array_equal(walked(network_NDQ, came_ND, 30, 4, None), network_NDQ[:, 30:])
    changed = came_ND.copy()
    changed[:, 34:] = 1e6
    np.testing.assert_array_equal(walked(network_NDQ, changed, 30, 4, given_KQ)[:, :5], walk[:, :5])
