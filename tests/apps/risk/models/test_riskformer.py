"""riskformer on a panel: slices, groups, walks, refusals; nothing of the future is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.history import known_until
from apps.risk.data.panel import Panel, build_panel, part
from apps.risk.models import riskformer
from apps.risk.models.riskformer import RiskformerTargets
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


def test_related_series_see_each_other_and_many_do_not(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained()
    together = model.forecast(panel, "target", 2, 80, 0).path_SNH[:, 1]
    alone = model.forecast(part(panel, 1, 2), "target", 2, 80, 0).path_SNH[:, 0]
    np.testing.assert_array_equal(alone.shape, together.shape)
    monkeypatch.setattr(riskformer, "RELATED", 5)
    whole = model.forecast(panel, "target", 2, 80, 0).path_SNH
    assert not np.allclose(whole[:, 1], together)
    for first in (0, 3):  # a part of a panel of six is no panel of three
        some = model.forecast(part(panel, first, first + 3), "target", 2, 80, 0).path_SNH
        np.testing.assert_allclose(some, whole[:, first : first + 3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("least", [100, 10_000])
def test_a_walk_is_a_forecast_of_each_day_from_the_days_before(
    panel: Panel, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With residuals of the panel's own last steps, or those of the training where it has too few."""
    monkeypatch.setattr(riskformer, "RECENT", 40)
    monkeypatch.setattr(riskformer, "LEAST", least)
    model = untrained()
    value_NT = panel.value_RF[:, 0].reshape(6, 90).astype(np.float64)
    walk = model.walk(value_NT, 80, every=1)
    assert walk.var_NDL.shape == (6, 10, 3)
    assert (walk.es_NDL < walk.var_NDL).all()
    for day in (80, 85, 89):
        seen = known_until(panel, day)
        single = model.fitted(seen, "target").forecast(seen, "target", 1, 80, 0).tail(1)
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
    own, made = (m.quantiles(window_NDC, 1, related=True)[:, :, 0] for m in (model, filtered))
    np.testing.assert_array_equal(made[..., 4:17], own[..., 4:17])
    assert (np.diff(made, axis=-1) >= 0).all()
    for place, level in ((1, 0.01), (3, 0.05), (19, 0.99)):
        share = (value_NT[:, 432:] < made[..., place]).mean()
        assert abs(share - level) < 2.5 * np.sqrt(level * (1 - level) / (3 * 468))
    assert abs((value_NT[:, 432:] < own[..., 1]).mean() - 0.01) > abs(
        (value_NT[:, 432:] < made[..., 1]).mean() - 0.01
    )


def test_residuals_are_those_of_the_panels_own_last_steps_where_it_has_enough() -> None:
    draw = np.random.default_rng(0)
    calm, wild = draw.normal(size=(2, 90)), draw.standard_t(2, size=(2, 90))
    stored = replace(untrained(), residual_KQ=np.tile(np.linspace(-1, 1, 21), (2, 1)))
    panels = [_panel(dict(zip("ab", value, strict=True))) for value in (calm, wild)]
    assert stored.fitted(panels[0], "target") is stored  # 2 × 57 residuals: too few
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(riskformer, "LEAST", 100)
        fitted = [stored.fitted(panel, "target").residual_KQ for panel in panels]
        seen = known_until(panels[0], 80)
        later = panels[0].value_RF.copy()
        later[np.tile(np.arange(90) >= 80, 2)] = 1e6
        patch.setattr(riskformer, "LEAST", 50)
        same = [stored.fitted(one, "target").residual_KQ for one in (seen, replace(seen, value_RF=later))]
    assert fitted[0] is not None
    assert fitted[1] is not None
    assert fitted[0].shape == (2, 21)
    assert fitted[1][0, 0] < fitted[0][0, 0] < -0.5
    assert same[0] is not None
    np.testing.assert_array_equal(*same)


def test_of_many_series_and_dates_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    panel = _panel({f"s{number:02d}": draw.normal(size=90) for number in range(12)})
    looked: list[tuple[int, ...]] = []
    real = RiskformerTargets.quantiles

    def counted(self: RiskformerTargets, past_NDC: np.ndarray, horizon: int, *, related: bool) -> np.ndarray:
        looked.append(past_NDC.shape)
        return real(self, past_NDC, horizon, related=related)

    monkeypatch.setattr(RiskformerTargets, "quantiles", counted)
    monkeypatch.setattr(riskformer, "RELATED", 6)
    monkeypatch.setattr(riskformer, "LOOKED_AT", 6 * 250)
    monkeypatch.setattr(riskformer, "LEAST", 10)
    assert untrained().fitted(panel, "target").residual_KQ is not None
    assert looked == [(6, 29, 32)]  # every second of the 90 - 32 dates with a whole context


def test_a_series_that_ended_early_ends_in_nothing() -> None:
    draw = np.random.default_rng(0)
    value = draw.normal(size=90)
    panel = _panel({"a": value, "b": np.append(value[:60], np.full(30, np.nan))})
    forecast = untrained().forecast(replace(panel, whole=1000), "target", 2, 80, 0)
    assert forecast.reason_N == ("", "too_short")  # two of the last 32 steps are known: 8 are needed
