"""stage=backtest in process: rows of every model, entity, horizon and level; the same bytes twice; honest silence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.backtest import backtest, run
from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig, ScoreConfig
from core.errors import InputError
from core.runs.folder import Run

MODELS = ["filtered_historical_simulation", "historical_simulation"]


def table(days: int = 150) -> pd.DataFrame:
    """Three assets on working days; c stops 60 days before the end, d never varies, e has times of its own."""
    generator = np.random.default_rng(0)
    times = pd.bdate_range("2023-01-02", periods=days)
    common_T = generator.standard_t(5, days)
    parts = [
        pd.DataFrame({"asset": name, "date": times, "gain": common_T + generator.standard_t(5, days)})
        for name in "abc"
    ]
    parts[2] = parts[2].iloc[:-60]
    parts.append(pd.DataFrame({"asset": "d", "date": times, "gain": 1.0}))
    parts.append(
        pd.DataFrame({"asset": "e", "date": times[::10], "gain": generator.normal(size=len(times[::10]))})
    )
    return pd.concat(parts)


def config(folder: Path, frame: pd.DataFrame, **given: Any) -> RiskConfig:
    frame.to_csv(folder / "table.csv", index=False)
    data = DataConfig(
        sample=None, path=str(folder / "table.csv"), entity="asset", time="date", targets="gain"
    )
    settings: dict[str, Any] = {
        "backtest": BacktestConfig(days=40, models=MODELS),
        "model": ModelConfig(horizon=2, paths=100),
        **given,
    }
    return RiskConfig(stage="backtest", output=str(folder / "out"), data=data, **settings)


def go(cfg: RiskConfig, folder: Path) -> int:
    record = Run(folder / "run")
    with record.log:
        return run(cfg, record)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "backtest.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_model_entity_horizon_and_level_has_a_row_and_silence_its_reason(tmp_path: Path) -> None:
    assert go(config(tmp_path, table()), tmp_path) == 4
    figures = rows(tmp_path)
    keys = [(row["model"], row["kind"], row["entity"], row["horizon"], row["level"]) for row in figures]
    assert len(set(keys)) == len(keys) == 2 * (3 + 1) * 2 * 3 + 2
    assert [(row["entity"], row["reason"]) for row in figures if not row["model"]] == [
        ("d", "constant"),
        ("e", "backtest_short"),  # every second week, too few of them
    ]
    by_key = dict(zip(keys, figures, strict=True))
    one = by_key["historical_simulation", "entity", "a", "1", "0.05"]
    assert (one["days"], one["test_days"], one["reason"]) == ("40", "40", "")
    assert float(one["pinball_low"]) < float(one["pinball"]) < float(one["pinball_high"])
    assert one["share"] == f"{int(one['exceedances']) / 40:.6g}"
    few = by_key["historical_simulation", "entity", "a", "1", "0.01"]
    assert (few["reason"], few["kupiec_p"]) == ("too_few_expected", "")
    assert 0.0 < float(one["kupiec_p"]) < 1.0
    two = by_key["historical_simulation", "entity", "a", "2", "0.05"]
    assert (two["days"], two["test_days"]) == ("39", "20")
    assert by_key["historical_simulation", "entity", "c", "1", "0.01"]["reason"] == "no_outcome"
    assert (
        by_key["historical_simulation", "portfolio", "equal_weights", "1", "0.01"]["reason"] == "no_outcome"
    )


def test_the_same_call_writes_the_same_bytes(tmp_path: Path) -> None:
    cfg = config(tmp_path, table()[lambda rows: rows["asset"].isin(["a", "b"])])
    assert go(cfg, tmp_path) == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(first) == ["backtest.csv", "metrics.json", "report.html"]
    assert go(cfg, tmp_path) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first
    metrics = json.loads(first["metrics.json"])
    assert metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["days"], metrics["models"], metrics["refused"]) == (40, MODELS, {})
    result = metrics["targets"]["gain"]
    assert list(result) == ["entity_1", "entity_2", "portfolio_1", "portfolio_2"]
    value, low, high = result["entity_1"]["historical_simulation"]["0.025"]["pinball"]
    assert low < value < high
    html = first["report.html"].decode()
    assert "VaR and shortfall of gain over 40 days" in html
    assert html.count("<svg") == 2 + 2  # two losses, two walks


def test_the_function_returns_what_the_command_writes_and_writes_nothing(tmp_path: Path) -> None:
    settings = BacktestConfig(days=40, models=["historical_simulation"])
    cfg = config(tmp_path, table()[lambda rows: rows["asset"].isin(["a", "d"])], backtest=settings)
    record = Run(tmp_path / "own")
    with record.log:
        result = backtest(cfg, record)
    assert not (tmp_path / "out").exists()
    assert go(cfg, tmp_path) == result.exit_code == 4, "d never varies"
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result.metrics
    assert [row["target"] for row in rows(tmp_path)] == [row[0] for row in result.rows]
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == result.page.render()


def test_what_comes_after_the_as_of_date_changes_nothing(tmp_path: Path) -> None:
    made = []
    for name, factor in (("one", 1.0), ("two", -5.0)):
        folder = tmp_path / name
        folder.mkdir()
        frame = table()[lambda rows: rows["asset"] == "a"]
        frame.loc[frame["date"] > "2023-07-03", "gain"] *= factor
        assert go(config(folder, frame, as_of="2023-07-03"), folder) == 0
        made.append((folder / "out" / "backtest.csv").read_bytes())
    assert made[0] == made[1]


def test_portfolios_of_a_file_are_walked_and_those_that_hold_others_left_out(tmp_path: Path) -> None:
    held = tmp_path / "held.csv"
    held.write_text("portfolio,entity,weight\nlong,a,1\nshort,a,-1\nshort,b,1\nodd,nobody,1\n")
    cfg = config(
        tmp_path,
        table(340)[lambda rows: rows["asset"].isin(["a", "b"])],  # windows are full: no value counts more
        score=ScoreConfig(portfolios=str(held)),
        model=ModelConfig(horizon=1, paths=100),
    )
    assert go(cfg, tmp_path) == 0
    figures = {(row["kind"], row["entity"]): row for row in rows(tmp_path) if row["level"] == "0.05"}
    assert list(figures) == [("entity", "a"), ("entity", "b"), ("portfolio", "long"), ("portfolio", "short")]
    assert figures["portfolio", "long"]["pinball"] == figures["entity", "a"]["pinball"]


def test_tables_that_cannot_be_walked_end_in_one_line(tmp_path: Path) -> None:
    cfg = config(tmp_path, table(50))
    with pytest.raises(
        InputError, match="has 50 steps \\(weekdays\\), and a walk over 40 needs 60"
    ) as caught:
        go(cfg, tmp_path)
    assert caught.value.code == "backtest_short"
    lone = table()[lambda rows: rows["asset"].isin(["d"])]
    with pytest.raises(
        InputError, match="no series of gain can be walked through its past: constant"
    ) as caught:
        go(config(tmp_path, lone), tmp_path)
    assert caught.value.code == "backtest_empty"
    assert not (tmp_path / "out").exists()
    cfg = RiskConfig(
        stage="backtest",
        output=str(tmp_path / "out"),
        data=DataConfig(sample="loan_book"),
        backtest=BacktestConfig(models=MODELS),
    )
    with pytest.raises(InputError, match="this table has an event and no target") as caught:
        go(cfg, tmp_path)
    assert caught.value.code == "backtest_event"
