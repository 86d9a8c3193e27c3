"""riskformer on a panel: slices, groups, walks, refusals; nothing of the future is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.groups import slices
from apps.risk.data.history import known_until
from apps.risk.data.panel import ALONE, Panel, build_panel, part
from apps.risk.models import riskformer
from apps.risk.models.residual_tails import with_tails
from tests.apps.risk.models.networks import untrained

DAYS = pd.bdate_range("2024-01-01", periods=90)


def _panel(values: dict[str, np.ndarray]) -> Panel:
    table = pd.concat(
        pd.DataFrame({"entity": name, "time": DAYS[-len(value) :], "target": value})
        for name, value in values.items()
    )
    table = table.assign(
        entity=table["entity"].astype("category"), time=table["time"].astype("datetime64[us]")
    )
    return build_panel(table.sort_values(["entity", "time"]).reset_index(drop=True), Columns())


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Where last bits could depend on how an operation is divided."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def panel() -> Panel:
    draw = np.random.default_rng(0)
    return _panel({name: draw.normal(size=90) for name in "abcdef"})


def test_a_forecast_is_of_every_entity_and_the_same_twice(panel: Panel) -> None:
    forecasts = [untrained().forecast(panel, "target", 5, 80, seed) for seed in (0, 1)]
    path_SNH = forecasts[0].path_SNH
    assert path_SNH.shape == (85, 6, 5)  # a block for each of 90 - 5 days
    assert forecasts[0].reason_N == ("",) * 6
    np.testing.assert_array_equal(path_SNH, forecasts[1].path_SNH)
    assert np.isfinite(forecasts[0].tail(5).es_NL).all()


def _grouped(group_N: list[int], days: int = 60) -> Panel:
    draw = np.random.default_rng(1)
    panel = _panel({f"s{n:03d}": draw.normal(size=days) for n in range(len(group_N))})
    return replace(panel, group_N=np.array(group_N))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_a_series_without_a_group_is_the_same_alone_and_among_any_number(
    count: int, two_threads: None
) -> None:
    """Two more than the network takes at once: those are asked about in another thread."""
    assert riskformer.ROWS == 128
    model = replace(untrained(), residual_KQ=np.tile(np.linspace(-1, 1, 21), (2, 1)))
    whole = replace(_grouped([ALONE] * 130), group_N=None)
    wanted = model.forecast(whole, "target", 2, 80, 0).path_SNH
    result = model.forecast(part(whole, 130 - count, 130), "target", 2, 80, 0).path_SNH
    np.testing.assert_allclose(result, wanted[:, 130 - count :], rtol=1e-12, atol=1e-12)


def test_a_group_sees_itself_whole_whoever_else_is_there(two_threads: None) -> None:
    model, wide = untrained(), 70  # more than there ever were looked at together before
    group_N = [7] * wide + [ALONE] * 5 + [2, 2, 3, 3, 3]
    panel = _grouped(group_N)
    result = model.forecast(panel, "target", 2, 80, 0).path_SNH
    alone = model.forecast(replace(panel, group_N=None), "target", 2, 80, 0).path_SNH
    np.testing.assert_allclose(result[:, wide : wide + 5], alone[:, wide : wide + 5], rtol=1e-12, atol=1e-12)
    assert not np.allclose(result[:, :wide], alone[:, :wide])
    for chunk in (1, 3, 71, 1000):
        for piece in slices(panel, chunk):
            index_N = [panel.entities.index(name) for name in piece.entities]
            some = model.forecast(piece, "target", 2, 80, 0).path_SNH
            np.testing.assert_allclose(some, result[:, index_N], rtol=1e-12, atol=1e-12)


def test_a_walk_looks_at_groups_as_a_forecast_does() -> None:
    panel, model = _grouped([0, 0, 0, ALONE, 1, 1]), untrained()
    walk = model.walk_panel(panel, "target", 10)
    single = model.forecast(known_until(panel, 55), "target", 1, 1000, 0).tail(1)
    np.testing.assert_allclose(walk.var_NDL[:, 5], single.var_NL, rtol=1e-6)
    other = model.walk_panel(replace(panel, group_N=None), "target", 10)
    assert [np.allclose(*both) for both in zip(walk.var_NDL, other.var_NDL, strict=True)] == [
        *[False] * 3,
        True,
        *[False] * 2,
    ]


@pytest.mark.parametrize("residuals", [None, np.tile(np.linspace(-1, 1, 21), (2, 1))])
def test_a_walk_is_a_forecast_of_each_day_from_the_days_before(
    panel: Panel, residuals: np.ndarray | None
) -> None:
    """With the network's own tails, and with residuals of the training that the series' own values move."""
    model = replace(untrained(), residual_KQ=residuals)
    value_NT = panel.value_RF[:, 0].reshape(6, 90).astype(np.float64)
    walk = model.walk(value_NT, 80, every=1)
    assert walk.var_NDL.shape == (6, 10, 3)
    assert (walk.es_NDL < walk.var_NDL).all()
    for day in (80, 85, 89):
        seen = known_until(panel, day)
        single = model.forecast(seen, "target", 1, 1000, 0).tail(1)
        np.testing.assert_allclose(walk.var_NDL[:, day - 80], single.var_NL, rtol=1e-4)
        np.testing.assert_allclose(walk.es_NDL[:, day - 80], single.es_NL, rtol=1e-4)
    changed = value_NT.copy()
    changed[:, 85:] *= 10
    np.testing.assert_array_equal(model.walk(changed, 80, every=1).var_NDL[:, :6], walk.var_NDL[:, :6])


def test_what_cannot_be_forecast_is_refused_with_a_reason() -> None:
    draw = np.random.default_rng(0)
    panel = _panel(
        {
            "constant": np.full(90, 3.0),
            "gaps": np.where(draw.random(90) < 0.3, np.nan, draw.normal(size=90)),
            "huge": 1e14 * draw.normal(size=90),
            "nothing": np.full(90, np.nan),
            "short": draw.normal(size=5),
        }
    )
    forecast = untrained().forecast(panel, "target", 3, 80, 0)
    assert dict(zip(panel.entities, forecast.reason_N, strict=True)) == {
        "constant": "constant",
        "gaps": "",
        "huge": "",
        "nothing": "all_missing",
        "short": "too_short",
    }
    missing_N = np.isnan(forecast.path_SNH).all(axis=(0, 2))
    assert missing_N.tolist() == [False, False, False, True, True]
    walk = untrained().walk(np.full((1, 12), np.nan), 10)
    assert walk.reason_ND.tolist() == [["all_missing"] * 2]


def test_tails_are_residuals_of_the_past_and_bulk_is_the_networks() -> None:
    draw = np.random.default_rng(0)
    value_NT = draw.standard_t(4, size=(3, 900))
    model = untrained()
    residual_HQ, shapes = riskformer.fit_residuals(model, value_NT, 4)
    assert residual_HQ.shape == (4, 21)
    assert 0.02 <= min(shapes) <= max(shapes) <= 0.6
    filtered = replace(model, residual_KQ=residual_HQ, shapes=shapes)
    window_NDC = np.lib.stride_tricks.sliding_window_view(value_NT, 32, axis=1)[:, 400:-1]
    own = model.quantiles(window_NDC, 1)[:, :, 0]
    made = with_tails(own[:, :, None], filtered.residual_KQ)[:, :, 0]
    np.testing.assert_array_equal(made[..., 4:17], own[..., 4:17])
    assert (np.diff(made, axis=-1) >= 0).all()
    for index, level in ((1, 0.01), (3, 0.05), (19, 0.99)):
        share = (value_NT[:, 432:] < made[..., index]).mean()
        assert abs(share - level) < 2.5 * np.sqrt(level * (1 - level) / (3 * 468))
    assert abs((value_NT[:, 432:] < own[..., 1]).mean() - 0.01) > abs(
        (value_NT[:, 432:] < made[..., 1]).mean() - 0.01
    )


def test_a_series_that_ended_early_ends_in_nothing() -> None:
    draw = np.random.default_rng(0)
    value = draw.normal(size=90)
    panel = _panel({"a": value, "b": np.append(value[:60], np.full(30, np.nan))})
    forecast = untrained().forecast(panel, "target", 2, 80, 0)
    assert forecast.reason_N == ("", "too_short")  # two of the last 32 steps are known: 8 are needed
