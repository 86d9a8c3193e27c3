"""The demo's pieces: fans of what was scored, clients by PD, a walk of the S&P 500."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import apps.risk.demo as module
from apps.risk.config import DataConfig, ModelConfig, RiskConfig
from apps.risk.data.load import load_panel
from apps.risk.demo import AS_OF, clients_of, fans_of, rows_of, walked
from apps.risk.score import score
from core.reports.page import Figure, Table
from core.runs.folder import Run


def test_clients_are_ranked_and_those_without_a_pd_left_out() -> None:
    rows = pd.DataFrame(
        {
            "entity": ["b", "a", "c", "d"],
            "pd": [0.2, 0.2, np.nan, 0.5],
            "drivers": ["", "x +1.00", "", "y +2.00"],
            "alert": ["", "", "", "pd_top_share"],
        }
    )
    assert [tuple(client) for client in clients_of(rows)] == [
        ("d", 0.5, "y +2.00", "pd_top_share"),
        ("a", 0.2, "x +1.00", ""),
        ("b", 0.2, "", ""),
    ]


def test_each_market_has_a_fan_of_what_was_scored(tmp_path: Path) -> None:
    cfg = RiskConfig(
        "score",
        as_of=AS_OF,
        output=str(tmp_path / "out"),
        model=ModelConfig(name="historical_simulation", horizon=10, paths=250),
    )
    record = Run(tmp_path / "run")
    with record.log:
        result = score(cfg, record)
    assert result.exit_code == 0
    rows = rows_of(result.folder)
    assert sorted(set(rows["entity"])) == ["Nasdaq", "S&P 500", "WTI", "equal_weights"]
    figures = fans_of(load_panel(DataConfig(), AS_OF).panel, rows)
    names = [str(one.image).split('aria-label="')[1].split(":")[0] for one in figures]
    assert names == ["Nasdaq", "S&amp;P 500", "WTI"]


def test_a_year_is_walked_by_the_champion_beside_the_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DAYS", 60)
    figure, table = walked(load_panel(DataConfig(), AS_OF).panel)
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert {row[0] for row in table.rows} >= {
        "gjr garch",
        "filtered historical simulation",
        "historical simulation",
    }
    assert "S&amp;P 500: VaR of each day, forecast the day before" in str(figure.image)
