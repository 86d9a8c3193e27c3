"""stage=score as of a date, a time, and the due time of a schedule: what is seen, and what it is called."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pandas as pd
import pytest

from apps.risk.score import job
from core.errors import ConfigError, InputError
from core.jobs.schedule import due_times, schedules
from core.jobs.store import Store
from tests.apps.risk.score_inputs import DAYS, config, files, go, returns, scores


def hourly(start: str = "2024-01-01", zone: str | None = None) -> pd.DataFrame:
    """Returns of two assets at 60 hours, written with the zone's offset."""
    time = pd.date_range(start, periods=DAYS, freq="h", tz=zone)
    return returns(2).assign(day=2 * [one.isoformat() for one in time])


def partitions(output: Path) -> list[str]:
    """The labels of the as-of times that were scored."""
    return sorted(path.name.removeprefix("as_of=") for path in (output / "scores").iterdir())


def first_steps(output: Path) -> list[str]:
    """The time of the first step of each partition, in the order of their labels."""
    rows = [scores(output, label) for label in partitions(output)]
    return [str(one[one["step"] == 1]["time"].iloc[0]) for one in rows]


def test_a_date_sees_all_of_its_day_and_a_time_only_what_came_before(tmp_path: Path) -> None:
    table = hourly()
    for as_of in ("2024-01-02", "2024-01-02T00:00", "2024-01-02T15:30"):
        assert go(config(tmp_path, table, as_of=as_of), tmp_path) == 0
    assert partitions(tmp_path / "out") == ["2024-01-02", "2024-01-02T00-00-00", "2024-01-02T15-30-00"]
    assert first_steps(tmp_path / "out") == [
        "2024-01-03 00:00:00",
        "2024-01-02 01:00:00",
        "2024-01-02 16:00:00",
    ]


def test_without_as_of_the_last_time_counts_and_of_daily_data_its_day(tmp_path: Path) -> None:
    assert go(config(tmp_path, hourly()), tmp_path) == 0
    closes = returns(2).assign(day=lambda table: table["day"] + "T17:30")
    assert go(config(tmp_path, closes), tmp_path) == 0
    assert partitions(tmp_path / "out") == ["2024-01-03T11-00-00", "2024-03-22"]


def test_an_hourly_schedule_leaves_a_partition_an_hour(tmp_path: Path) -> None:
    cfg = dataclasses.asdict(config(tmp_path, hourly(), run_dir=str(tmp_path / "runs")))
    due = [f"2024-01-02T{hour:02d}:00:00+00:00" for hour in range(6)]
    for one in due:
        assert job(cfg, one)["exit_code"] == 0
    assert partitions(tmp_path / "out") == [f"2024-01-02T{hour:02d}-00-00" for hour in range(6)]
    hours = pd.date_range("2024-01-02T01:00", periods=6, freq="h")
    assert first_steps(tmp_path / "out") == [str(hour) for hour in hours], "each knows its own hour's past"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == partitions(tmp_path / "out")
    before = files(tmp_path / "out")
    job(cfg, due[3])
    assert files(tmp_path / "out") == before


def test_the_second_time_of_a_doubled_hour_has_a_partition_of_its_own(tmp_path: Path) -> None:
    cfg = dataclasses.asdict(config(tmp_path, hourly("2024-10-25"), zone="Europe/Berlin"))
    start, end = (datetime.datetime(2024, 10, 26, hour, 30, tzinfo=datetime.UTC) for hour in (22, 23))
    for due in due_times("0 * * * *", "Europe/Berlin", start, end + datetime.timedelta(hours=3)):
        job(cfg, due.isoformat())
    labels = partitions(tmp_path / "out")
    assert labels == [
        "2024-10-27T01-00-00",
        "2024-10-27T02-00-00",
        "2024-10-27T02-00-00+0100",
        "2024-10-27T03-00-00",
    ]


def test_a_due_time_counts_in_the_zone_of_the_data(tmp_path: Path) -> None:
    cfg = config(
        tmp_path, hourly(zone="America/New_York"), data_zone="America/New_York", zone="Europe/Berlin"
    )
    assert job(dataclasses.asdict(cfg), "2024-01-02T06:00:00+01:00")["as_of"] == "2024-01-02T00:00:00"
    assert first_steps(tmp_path / "out") == ["2024-01-02 01:00:00"]


def test_a_schedule_is_registered_once_for_an_output_and_scores_as_of_its_due_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIPTYCH_JOBS", str(tmp_path / "jobs.sqlite"))
    monkeypatch.chdir(tmp_path)
    cfg = config(tmp_path, returns(), schedule="0 6 * * 1-5", zone="Europe/Zurich", run_dir="runs")
    cfg.output = "out"
    for _ in range(2):
        assert go(cfg, tmp_path) == 0
    assert "is registered; `triptych-jobs work` scores when it is due" in capsys.readouterr().out
    with Store() as store:
        (registered,) = schedules(store)
    assert (registered.job, registered.cron, registered.zone) == (
        "risk.score",
        "0 6 * * 1-5",
        "Europe/Zurich",
    )
    assert registered.arguments["config"]["output"] == str(tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing is scored now"
    monkeypatch.chdir("/")
    result = job(**registered.arguments, due="2024-02-26T06:00:00+01:00")
    assert (result["as_of"], result["scored"], result["exit_code"]) == ("2024-02-26T06:00:00", 4, 0)
    assert len(scores(tmp_path / "out", "2024-02-26T06-00-00")) == 10
    assert (tmp_path / "runs" / "2024-02-26T06-00-00" / "metrics.json").exists()


def test_a_schedule_takes_no_date_and_an_old_one_is_to_be_registered_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave as_of out"):
        go(config(tmp_path, returns(), schedule="0 6 * * *", as_of="2024-01-01"), tmp_path)
    old = {"stage": "score", "output": "o", "data": {"sample": "markets", "window": 3}}
    with pytest.raises(
        ConfigError, match=r'has an unknown field "window" of .*, of an earlier release: register it again'
    ):
        job(config=old, due="2024-02-26T06:00:00+01:00")


def test_a_scheduled_scoring_waits_for_new_data_and_fails_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    new = returns(2).assign(day=2 * list(pd.date_range(end=now.date(), periods=DAYS).strftime("%Y-%m-%d")))
    cfg = dataclasses.asdict(config(tmp_path, returns(2), score_wait_h=0.0))
    with pytest.raises(InputError, match=r"no series is up to date.* waits for its input until") as caught:
        job(cfg, now.isoformat())
    assert caught.value.code == "input_late"
    assert not (tmp_path / "out" / "scores").exists(), "data of years ago are not scored as of today"
    pauses: list[float] = []

    def data_arrive(seconds: float) -> None:
        pauses.append(seconds)
        config(tmp_path, new)

    monkeypatch.setattr("apps.risk.scoring.late_input.pause", data_arrive)
    cfg = dataclasses.asdict(config(tmp_path, returns(2)))
    assert job(cfg, now.isoformat())["exit_code"] == 0
    assert pauses == [60.0]
    assert partitions(tmp_path / "out") == [f"{now:%Y-%m-%dT%H-%M-%S}"]
