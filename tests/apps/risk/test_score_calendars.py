"""Scores of tables of several calendars, closes within the day, offsets and clock changes, from file to file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.score import run
from apps.risk.scoring.manifest import read_manifest
from core.runs.folder import Run
from tests.apps.risk.mixed_calendars import series
from tests.apps.risk.score_inputs import config, scores

NAMES = {"data_entity": "who", "data_time": "time", "data_targets": "gain", "model_horizon": 10}


def score(
    folder: Path, table: pd.DataFrame | None, as_of: str | None = "2024-06-28", **words: Any
) -> pd.DataFrame:
    """The rows of a table, by kind, entity and step."""
    folder.mkdir(exist_ok=True)
    record = Run(folder / "run")
    with record.log:
        run(config(folder, table, as_of=as_of, **NAMES, **words), record)
    (partition,) = (folder / "out" / "scores").glob("as_of=*")
    return scores(folder / "out", partition.name.removeprefix("as_of=")).set_index(["kind", "entity", "step"])


def days(rows: pd.DataFrame, entity: str, kind: str = "entity") -> list[str]:
    return rows.loc[(kind, entity), "time"].dt.strftime("%Y-%m-%d").tolist()


def closes(zone: str | None = None, count: int = 120) -> pd.DataFrame:
    """Closes at 17:30 on weekdays, up to Friday, 28 June 2024."""
    times = pd.bdate_range(end="2024-06-28", periods=count, tz=zone) + pd.Timedelta(hours=17, minutes=30)
    gain = np.random.default_rng(0).standard_t(5, count)
    gain[-1] = -50.0  # the last day shows in every tail
    text = [time.isoformat() for time in times]
    return pd.DataFrame({"who": "a", "time": text, "gain": gain})


def mixture() -> list[pd.DataFrame]:
    kinds = {"D": ("weekdays", 400), "W": ("weekly", 200), "M": ("monthly", 60)}
    return [series(name, *kind, seed=len(name)) for name, kind in kinds.items()]


def test_daily_weekly_and_monthly_series_each_step_as_they_do_alone(tmp_path: Path) -> None:
    tables = [
        series("D", "weekdays", 300, seed=1),
        series("W", "weekly", 200, seed=2),
        series("M", "monthly", 60, seed=3),
    ]
    rows = score(tmp_path / "all", pd.concat(tables))
    assert days(rows, "D")[:2] == ["2024-07-01", "2024-07-02"]
    assert days(rows, "W")[:2] == ["2024-07-05", "2024-07-12"]
    assert days(rows, "M")[:2] == ["2024-06-30", "2024-07-31"]
    for table in tables:
        name = table["who"].iloc[0]
        alone = score(tmp_path / name, table).loc["entity"].dropna(axis=1)
        together = rows.loc["entity"].loc[[name], alone.columns]
        pd.testing.assert_frame_equal(together, alone, check_dtype=False, rtol=1e-12, atol=1e-12)


def test_portfolios_are_summed_on_a_common_calendar_that_the_manifest_names(tmp_path: Path) -> None:
    tables = [
        series("D", "weekdays", 400, seed=1),
        series("W", "weekly", 200, seed=2),
        series("M", "monthly", 60, seed=3),
    ]
    held = tmp_path / "held.csv"
    held.write_text("portfolio,entity,weight\nweeks,D,0.5\nweeks,W,0.5\nnone,W,0.5\nnone,M,0.5\ndays,D,1\n")
    rows = score(tmp_path, pd.concat(tables), score_portfolios=str(held))
    assert days(rows, "weeks", "portfolio")[:2] == ["2024-07-05", "2024-07-12"]
    assert days(rows, "days", "portfolio")[:2] == ["2024-07-01", "2024-07-02"]
    assert rows.loc[("portfolio", "none", 0), "reason"] == "no_common_calendar"
    result = read_manifest(tmp_path / "out" / "scores" / "as_of=2024-06-28")["settings"]["calendars"]
    assert result == {
        "series": {"monthly": 1, "weekdays": 1, "weekly on Friday": 1},
        "portfolios": {"days": "weekdays", "weeks": "weekly on Friday"},
    }
    # the weekly sums of D and those of W, drawn together
    spread = rows.loc[("portfolio", "weeks", 1), "q_050"] / rows.loc[("entity", "W", 1), "q_050"]
    assert 0.5 < spread < 2.0


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_closes_within_the_day_keep_to_weekdays_and_the_day_of_the_date_counts(
    tmp_path: Path, zone: str | None
) -> None:
    table = closes(zone)
    rows = score(tmp_path, table)
    assert rows.loc[("entity", "a"), "time"].iloc[:2].tolist() == [
        pd.Timestamp("2024-07-01T17:30"),
        pd.Timestamp("2024-07-02T17:30"),
    ]
    without = score(tmp_path / "less", table.iloc[:-1])
    assert rows.loc[("entity", "a", 1), "var_010"] != without.loc[("entity", "a", 1), "var_010"]


def test_offsets_are_instants_and_a_zone_changes_no_number(tmp_path: Path) -> None:
    table = closes("Europe/Berlin")  # +01:00 until March, then +02:00
    utc = table.assign(time=pd.to_datetime(table["time"], utc=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    rows = score(tmp_path / "offsets", table)
    zoned = score(tmp_path / "zone", table, data_zone="Europe/Berlin")
    same = score(tmp_path / "utc", utc, data_zone="Europe/Berlin")
    pd.testing.assert_frame_equal(rows, zoned)
    pd.testing.assert_frame_equal(rows, same)
    assert not (tmp_path / "offsets" / "out" / "quarantine").exists()


def test_both_hours_count_when_the_clock_is_put_back(tmp_path: Path) -> None:
    hours = pd.date_range("2024-10-20", periods=200, freq="h", tz="Europe/Berlin")
    table = pd.DataFrame({"who": "a", "time": hours, "gain": np.random.default_rng(0).normal(size=200)})
    table.to_parquet(tmp_path / "hours.parquet")
    rows = score(tmp_path, None, as_of=None, data_path=str(tmp_path / "hours.parquet"))
    assert not (tmp_path / "out" / "quarantine").exists()
    wanted = hours[-1] + pd.to_timedelta(np.arange(1, 11), unit="h")
    assert rows.loc[("entity", "a"), "time"].tolist() == wanted.tz_localize(None).tolist()


def test_a_time_that_the_clock_skips_or_doubles_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    hours = pd.date_range("2024-10-20", periods=200, freq="h").strftime("%Y-%m-%dT%H:%M")
    table = pd.DataFrame({"who": "a", "time": hours, "gain": np.random.default_rng(0).normal(size=200)})
    score(tmp_path, table, as_of="2024-10-28T07:00", data_zone="Europe/Berlin")
    (path,) = (tmp_path / "out" / "quarantine").glob("*.json")
    (aside,) = json.loads(path.read_text())["parts"]
    assert aside["code"] == "time_doubled"
    assert "comes twice in the zone" in aside["sentence"]
