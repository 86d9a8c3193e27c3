"""Who can be looked at side by side, and everyone."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.comparable import comparable
from apps.risk.data.load import Loaded, load_panel
from core.errors import InputError


def loaded(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame, **roles: Any) -> Loaded:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    table.to_csv(path, index=False)
    return load_panel(DataConfig(sample=None, path=str(path), entity="who", time="day", **roles))


def series(name: str, step: int, value: float | None = None) -> pd.DataFrame:
    days = pd.bdate_range("2024-01-01", periods=60)[::step]
    return pd.DataFrame({"who": name, "day": days, "gain": range(len(days)) if value is None else value})


def test_a_series_with_times_of_its_own_and_one_without_risk_stand_aside(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rare = series("rare", 1).iloc[[0, 1, 11, 17, 40]]
    table = pd.concat([series("daily", 1), rare, series("flat", 1, 2.0)])
    (panel,), aside = comparable(loaded(tmp_path_factory, table, targets="gain"), "gain", days=10)
    assert panel.entities == ("daily",)
    assert aside == {"rare": "own_calendar", "flat": "constant"}


def test_where_nobody_is_left_it_says_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = loaded(tmp_path_factory, series("flat", 1, 2.0), targets="gain")
    with pytest.raises(
        InputError, match="no series of gain can be walked through its past: constant"
    ) as caught:
        comparable(result, "gain", days=10)
    assert caught.value.code == "backtest_empty"


def test_each_calendar_is_walked_by_itself_and_a_short_one_stands_aside(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    daily, weekly = series("daily", 1), series("weekly", 5)
    result = loaded(tmp_path_factory, pd.concat([daily, weekly]), targets="gain")
    panels, aside = comparable(result, "gain", days=20)
    assert [panel.entities for panel in panels] == [("daily",)]
    assert aside == {"weekly": "backtest_short"}
    (longest,), nobody = comparable(result, "gain", days=100)
    assert (longest.entities, nobody) == (("daily",), {})  # the walk itself says how many days there are
