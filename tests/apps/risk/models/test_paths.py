"""Joint futures: margins are the quantiles', dependence the past's, and slices answer as the whole."""

from __future__ import annotations

import numpy as np
from scipy import stats

from apps.risk.models.paths import BLOCKS, block_ranks, paths_from_quantiles
from apps.risk.models.sizes import QUANTILE_LEVELS

LEVELS = np.array(QUANTILE_LEVELS)
NORMAL = stats.norm.ppf(LEVELS)


def _history(series: int, steps: int, load: float = 0.8) -> np.ndarray:
    draw = np.random.default_rng(0)
    common = draw.normal(size=steps)
    return load * common + np.sqrt(1 - load**2) * draw.normal(size=(series, steps))


def test_margins_are_the_models() -> None:
    quantile_NHQ = np.broadcast_to(NORMAL, (3, 4, len(LEVELS))) * np.array([1.0, 2.0, 3.0])[:, None, None]
    forecast = paths_from_quantiles(quantile_NHQ, LEVELS, _history(3, 600), 900, ("",) * 3)
    assert forecast.path_SNH.shape == (1000, 3, 4)
    seen = forecast.quantile_NHQ(np.array([0.05, 0.5, 0.95]))
    expected = stats.norm.ppf([0.05, 0.5, 0.95]) * np.array([1.0, 2.0, 3.0])[:, None, None]
    np.testing.assert_allclose(seen, np.broadcast_to(expected, seen.shape), atol=0.02)


def test_the_first_step_is_in_closed_form() -> None:
    forecast = paths_from_quantiles(np.broadcast_to(NORMAL, (1, 2, 21)), LEVELS, _history(1, 300), 300, ("",))
    tail = forecast.tail(1)
    np.testing.assert_allclose(tail.var_NL[0], stats.norm.ppf([0.01, 0.025, 0.05]))
    assert (tail.es_NL < tail.var_NL).all()
    deep = forecast.path_SNH[:, 0, 0]
    np.testing.assert_allclose(tail.es_NL[0, 2], deep[deep <= np.quantile(deep, 0.05)].mean(), rtol=0.03)


def test_dependence_over_series_and_over_days_is_that_of_the_past() -> None:
    history_NT = _history(2, 3000)
    history_NT[:, 1:] = 0.6 * history_NT[:, :-1] + 0.8 * history_NT[:, 1:]  # days that depend on each other
    forecast = paths_from_quantiles(np.broadcast_to(NORMAL, (2, 5, 21)), LEVELS, history_NT, 500, ("",) * 2)
    path_SNH = forecast.path_SNH
    over_series = np.corrcoef(path_SNH[:, 0, 2], path_SNH[:, 1, 2])[0, 1]
    over_days = np.corrcoef(path_SNH[:, 0, 1], path_SNH[:, 0, 2])[0, 1]
    assert 0.45 < over_series < 0.8
    assert 0.2 < over_days < 0.65


def test_slices_answer_as_the_whole_and_gaps_take_ranks_of_their_own() -> None:
    history_NT = _history(4, 700)
    history_NT[1, 650:660], history_NT[2] = np.nan, np.nan
    quantile_NHQ = np.broadcast_to(NORMAL, (4, 3, 21))
    whole = paths_from_quantiles(quantile_NHQ, LEVELS, history_NT, 500, ("",) * 4).path_SNH
    for n in range(4):
        alone = paths_from_quantiles(quantile_NHQ[n : n + 1], LEVELS, history_NT[n : n + 1], 500, ("",))
        np.testing.assert_array_equal(alone.path_SNH[:, 0], whole[:, n])
    rank_NHW = block_ranks(history_NT, 3)
    assert rank_NHW.shape == (4, 3, BLOCKS)
    np.testing.assert_array_equal(
        np.sort(rank_NHW, axis=2), np.broadcast_to(np.arange(BLOCKS), rank_NHW.shape)
    )


def test_a_history_shorter_than_a_block_still_gives_paths() -> None:
    forecast = paths_from_quantiles(np.broadcast_to(NORMAL, (1, 9, 21)), LEVELS, _history(1, 4), 50, ("",))
    assert forecast.path_SNH.shape == (50, 1, 9)
    assert np.isfinite(forecast.path_SNH).all()


def test_a_refused_series_has_no_paths() -> None:
    quantile_NHQ = np.stack([np.broadcast_to(NORMAL, (2, 21)), np.full((2, 21), np.nan)])
    forecast = paths_from_quantiles(quantile_NHQ, LEVELS, _history(2, 100), 100, ("", "too_short"))
    assert np.isnan(forecast.path_SNH[:, 1]).all()
    assert np.isfinite(forecast.path_SNH[:, 0]).all()
    assert np.isnan(forecast.tail(1).es_NL[1]).all()
