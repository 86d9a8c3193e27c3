"""Notes on a table: levels that were given as returns, columns and categories that a model does not know."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.columns import Columns
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.panel import Panel, build_panel
from apps.risk.models.baselines import BASELINES
from apps.risk.report.input_notes import input_notes, level_note, looks_like_level, unseen_words

DAYS = pd.bdate_range("2020-01-01", periods=300)
DRAW = np.random.default_rng(0)
RETURNS = DRAW.standard_t(5, size=300) / 100
LEVELS = {
    "price": 100.0 * np.exp(np.cumsum(RETURNS)),
    "price, trending": 100.0 * np.exp(np.cumsum(RETURNS + 0.002)),
    "billions": 1e9 + np.arange(300.0),
    "yield": 3.0 + np.cumsum(0.02 * DRAW.standard_normal(300)),
}
OTHERS = {
    "returns": RETURNS,
    "percent": 100.0 * RETURNS,
    "gross": 1.0 + RETURNS,
    "volume": np.exp(DRAW.standard_normal(300)),
    "swinging": 10.0 + np.sin(np.arange(300.0)) + 0.1 * DRAW.standard_normal(300),
    "below 0": -100.0 * np.exp(np.cumsum(RETURNS)),
    "constant": np.full(300, 7.0),
}


def panel_of(series: dict[str, np.ndarray]) -> Panel:
    table = pd.concat(
        pd.DataFrame({"entity": name, "time": DAYS[: len(value)], "target": value})
        for name, value in series.items()
    ).sort_values(["entity", "time"])
    types = {"entity": "category", "time": "datetime64[us]"}
    return build_panel(table.astype(types).reset_index(drop=True), Columns())


@pytest.mark.parametrize("name", [*LEVELS, *OTHERS])
def test_a_level_is_reported_from_what_changes(name: str) -> None:
    value = {**LEVELS, **OTHERS}[name]
    assert looks_like_level(panel_of({name: value}), "target").tolist() == [int(name in LEVELS)]
    with_gaps = np.where(np.arange(300) % 7 == 3, np.nan, value)
    assert looks_like_level(panel_of({name: with_gaps}), "target").tolist() == [int(name in LEVELS)]


def test_each_series_is_judged_by_itself_and_a_short_one_not_at_all() -> None:
    everyone = {**LEVELS, **OTHERS, "short": LEVELS["price"][:49]}
    is_level_N = looks_like_level(panel_of(everyone), "target")
    assert dict(zip(sorted(everyone), is_level_N.tolist(), strict=True)) == {
        **dict.fromkeys(LEVELS, 1),
        **dict.fromkeys(OTHERS, 0),
        "short": -1,
    }


def test_the_note_counts_and_needs_most_series() -> None:
    assert level_note(panel_of(LEVELS | {"returns": RETURNS}), "target").startswith(
        "target looks like a level, such as a price, in 4 of 5 series"
    )
    assert level_note(panel_of({"price": LEVELS["price"], "returns": RETURNS}), "target") == ""
    assert level_note(panel_of(OTHERS), "target") == ""


def test_the_future_says_nothing() -> None:
    panel = panel_of({"price": LEVELS["price"]})
    spoiled = panel.value_RF.copy()
    spoiled[200:] = -1.0
    seen = replace(panel, value_RF=spoiled, past_N=np.array([200]))
    assert looks_like_level(seen, "target").tolist() == [1]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table = pd.concat(
        pd.DataFrame(
            {"asset": name, "date": DAYS, "ret": RETURNS, "vix": 1.0, "holiday": 0, "sector": sector}
        )
        for name, sector in (("A", "bank"), ("B", "oil"), ("C", "new"), ("D", "newer"))
    )
    table.to_csv(path, index=False)
    roles = {"entity": "asset", "time": "date", "targets": "ret", "observed": "vix", "known": "holiday"}
    cfg = DataConfig(sample=None, path=str(path), statics="sector", **roles)
    return load_panel(cfg, categories={"sector": ("bank", "oil")})


def _trained(columns: Columns) -> Any:
    return SimpleNamespace(name="network", columns=columns, categories={"sector": ("bank",)})


def test_columns_that_no_model_reads_are_counted_once(loaded: Loaded) -> None:
    models = [BASELINES[name]() for name in ("historical_simulation", "seasonal_naive")]
    assert input_notes(loaded, models) == [
        "3 of 3 declared columns (vix, holiday, sector) are not read by historical_simulation, seasonal_naive"
    ]
    part = _trained(replace(loaded.columns, known=(), statics=()))
    assert "2 of 3 declared columns (holiday, sector) are not read by network" in input_notes(loaded, [part])
    assert not any("not read" in note for note in input_notes(loaded, [_trained(loaded.columns)]))


def test_categories_that_training_did_not_have_are_counted(loaded: Loaded) -> None:
    assert loaded.unseen == {"sector": (2, ("new", "newer"))}
    assert unseen_words(loaded.everyone, {"sector": ("bank",)}) == {
        "sector": (1, ("oil",))
    }  # two are coded as unknown
    assert input_notes(loaded, [_trained(loaded.columns)]) == [
        "categories of sector that network was not trained on count as unknown: 1 (oil), of 1 entities"
    ]
