"""stage=score in process: what is written, twice the same; what is set aside; SQL and its outages; schedules."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

import apps.risk.score as module
from apps.risk.reasons import INTERRUPTIONS
from apps.risk.scoring.manifest import verify
from core.errors import ConfigError, InputError
from core.runs.files import write_json
from core.runs.folder import Run
from tests.apps.risk.score_inputs import config, files, go, returns, scores

LAST = "2024-03-22"  # the 60th working day of 2024


def metrics(tmp_path: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((tmp_path / "run" / "metrics.json").read_text())
    return recorded


def aside(output: Path, date: str = LAST) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads((output / "quarantine" / f"as_of={date}.json").read_text())[
        "parts"
    ]
    return parts


def test_scores_are_written_whole_with_their_manifest_and_the_same_bytes_twice(tmp_path: Path) -> None:
    cfg = config(tmp_path, returns(), model_paths=1000)
    assert go(cfg, tmp_path) == 0
    rows = scores(tmp_path / "out", LAST)
    assert len(rows) == 4 * 2 + 2, "two steps of four assets and of one portfolio"
    assert list(rows["kind"].value_counts().items()) == [("entity", 8), ("portfolio", 2)]
    first = rows[(rows["entity"] == "s000") & (rows["step"] == 1)].iloc[0]
    past = np.sort(returns().query("asset == 's000'")["gain"])
    assert first["q_500"] == pytest.approx(past[29], rel=1e-6), "the 30th of 60 past days"
    assert first["var_050"] == pytest.approx(past[2], rel=1e-6), "the 3rd: 5 % of 60"
    assert str(first["time"])[:10] == "2024-03-25", "the Monday after"
    manifest = verify(tmp_path / "out" / "scores" / f"as_of={LAST}")
    assert manifest["model"]["name"] == "targets: historical_simulation"
    assert manifest["counts"] == {"scored": 4, "refused": {}, "rejected_rows": {}}
    assert manifest["settings"]["as_of"] == "2024-03-22"
    before = files(tmp_path / "out")
    assert list(before) == [
        "manifest.json",
        f"scores/as_of={LAST}/_manifest.json",
        f"scores/as_of={LAST}/part-00000.parquet",
    ]
    assert go(cfg, tmp_path) == 0
    assert files(tmp_path / "out") == before
    recorded = metrics(tmp_path)
    assert (recorded["scored"], recorded["set_aside"], recorded["exit_code"]) == (4, 0, 0)


def test_slices_are_forecast_as_the_whole(tmp_path: Path) -> None:
    go(config(tmp_path, returns(), score_chunk=100), tmp_path)
    whole = scores(tmp_path / "out", LAST)
    go(config(tmp_path, returns(), score_chunk=3), tmp_path)
    pd.testing.assert_frame_equal(scores(tmp_path / "out", LAST), whole, rtol=1e-12)


def test_the_function_returns_what_the_command_writes(tmp_path: Path) -> None:
    table = returns()
    table.loc[table["asset"] == "s001", "gain"] = 1.5
    cfg = config(tmp_path, table)
    record = Run(tmp_path / "own")
    with record.log:
        result = module.score(cfg, record)
    assert result.folder == tmp_path / "out" / "scores" / f"as_of={LAST}"
    assert [(one.entity, one.code) for one in result.refused] == [("s001", "constant")]
    assert verify(result.folder)["counts"]["scored"] == result.counts.scored == 3
    before = files(tmp_path / "out")
    assert go(cfg, tmp_path) == result.exit_code == 4
    assert files(tmp_path / "out") == before
    written = metrics(tmp_path)
    assert {name: written[name] for name in result.metrics} == result.metrics
    assert set(written) - set(result.metrics) == {"later_rows", "seconds_model", "seconds_scoring"}


def test_an_older_date_sees_no_more_than_was_known(tmp_path: Path) -> None:
    cfg = config(tmp_path, returns(), as_of="2024-02-29")
    assert go(cfg, tmp_path) == 0
    before = files(tmp_path / "out")
    assert metrics(tmp_path)["later_rows"] == 4 * 16
    config(tmp_path, returns().query("day <= '2024-02-29'"))
    assert go(cfg, tmp_path) == 0
    assert files(tmp_path / "out") == before
    assert metrics(tmp_path)["later_rows"] == 0


def test_what_was_set_aside_is_reported_with_its_reason_and_forgotten_once_it_is_mended(
    tmp_path: Path,
) -> None:
    table = returns()
    table["gain"] = table["gain"].astype(object)
    table.loc[5, "gain"] = "abc"
    table.loc[table["asset"] == "s001", "gain"] = 1.5
    table = table[~((table["asset"] == "s002") & (table["day"] < "2024-03-18"))]
    cfg = config(tmp_path, table)
    assert go(cfg, tmp_path) == 4
    result = [(one["kind"], one["entity"], one["column"], one["code"]) for one in aside(tmp_path / "out")]
    assert result == [
        ("row", "s000", "gain", "not_a_number"),
        ("entity", "s001", "gain", "constant"),
        ("entity", "s002", "gain", "too_short"),
    ]
    assert aside(tmp_path / "out")[0]["row"] == 5
    rows = scores(tmp_path / "out", LAST)
    refused = rows[rows["step"] == 0]
    assert list(zip(refused["entity"], refused["reason"], strict=True)) == [
        ("s001", "constant"),
        ("s002", "too_short"),
    ]
    assert refused["q_500"].isna().all()
    manifest = verify(tmp_path / "out" / "scores" / f"as_of={LAST}")
    assert manifest["counts"] == {
        "scored": 2,
        "refused": {"constant": 1, "too_short": 1},
        "rejected_rows": {"not_a_number": 1},
    }
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "s00" not in log, "no entity's name is logged"
    assert go(config(tmp_path, returns()), tmp_path) == 0
    assert not (tmp_path / "out" / "quarantine").exists()


@pytest.mark.parametrize("later", ["", "x", "8.5"])
def test_what_a_broken_row_held_is_spelt_the_same_whatever_comes_later(later: str, tmp_path: Path) -> None:
    table = returns().assign(seen="7")
    table.loc[0, ["day", "seen"]] = ["soon", "NA"]
    table.loc[1, "day"] = "soon"
    table.loc[59, "seen"] = later
    assert go(config(tmp_path, table, data_observed="seen", as_of="2024-03-20"), tmp_path) == 4
    held = [one["content"]["seen"] for one in aside(tmp_path / "out", "2024-03-20")]
    assert held == [None, "7.0"]


def test_nobody_at_all_can_be_forecast_and_all_are_named(tmp_path: Path) -> None:
    assert go(config(tmp_path, returns(entities=2, days=1)), tmp_path) == 4
    assert list(scores(tmp_path / "out", "2024-01-01")["reason"]) == ["too_short", "too_short"]


def test_portfolios_are_summed_path_by_path(tmp_path: Path) -> None:
    held = tmp_path / "held.csv"
    held.write_text(
        "portfolio,entity,weight\nhedged,s000,1\nhedged,s001,-0.5\nlost,s000,1\nlost,nobody,1\nlost,s002,0\n"
    )
    assert go(config(tmp_path, returns(), score_portfolios=str(held), score_chunk=1), tmp_path) == 4
    rows = scores(tmp_path / "out", LAST).query("kind == 'portfolio'")
    table = returns().pivot(index="day", columns="asset", values="gain")
    past = np.sort(table["s000"] - 0.5 * table["s001"])
    first = rows[(rows["entity"] == "hedged") & (rows["step"] == 1)].iloc[0]
    assert past[28] <= first["q_500"] <= past[30]  # paths are no whole multiple of these 60 days
    assert list(rows[rows["entity"] == "lost"]["reason"]) == ["holds_refused"]
    assert [(one["kind"], one["entity"]) for one in aside(tmp_path / "out")] == [("portfolio", "lost")]


def test_alerts_are_counted(tmp_path: Path) -> None:
    assert go(config(tmp_path, returns(), score_var_limit=0.01), tmp_path) == 0
    assert metrics(tmp_path)["alerts"] == {"var_limit": 5}, "four assets and their portfolio"


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"as_of": "2023-12-31"}, "as_of_before_data", "nothing was known as of 2023-12-31"),
        (
            {"weights": "nowhere"},
            "weights_missing",
            "nowhere has no model.json: name a folder of a trained model",
        ),
        ({"model_name": "tft"}, "model_unknown", "has no tft"),
        ({"data_event": "gain"}, "role_doubled", '"gain" has two roles'),
        ({"data_event": "bad"}, "column_missing", 'has no column "bad"'),
        ({"score_sql": "nonsense"}, "sql_url", "the database's URL cannot be read"),
        ({"score_portfolios": "nowhere.csv"}, "portfolios_missing", "nowhere.csv cannot be read"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_nothing_is_left(
    changes: dict[str, Any], code: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises((InputError, ConfigError), match=sentence) as caught:
        go(config(tmp_path, returns(), **changes), tmp_path)
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


def test_an_event_needs_a_model_of_it(tmp_path: Path) -> None:
    table = returns().assign(bad=0)
    with pytest.raises(InputError, match=r'the model does not forecast "bad": leave data\.event out'):
        go(config(tmp_path, table, data_event="bad", data_targets=""), tmp_path)


def test_the_champion_of_an_evaluation_scores(tmp_path: Path) -> None:
    chosen = {
        "gain": {"champion": "seasonal_naive", "rule": "least loss"},
        "other": {"champion": "gjr_garch"},
    }
    write_json(tmp_path / "evaluation" / "champion.json", chosen)
    assert go(config(tmp_path, returns(), score_champion=str(tmp_path / "evaluation")), tmp_path) == 0
    assert set(scores(tmp_path / "out", LAST)["model"]) == {"seasonal_naive"}
    before = files(tmp_path / "out")
    assert go(config(tmp_path, returns(), model_name="seasonal_naive"), tmp_path) == 0
    same = {name for name, digest in files(tmp_path / "out").items() if digest == before[name]}
    assert f"scores/as_of={LAST}/part-00000.parquet" in same


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"gain": {"champion": "tft"}}, "has no tft"),
        ({"price": {"champion": "tft"}}, 'chose champions of price, and none of "gain"'),
        ([], r"champion\.json is not a champion\.json of stage=evaluate: name the folder"),
    ],
)
def test_a_choice_that_does_not_fit_is_one_line(chosen: Any, sentence: str, tmp_path: Path) -> None:
    write_json(tmp_path / "champion.json", chosen)
    with pytest.raises(InputError, match=sentence):
        go(config(tmp_path, returns(), score_champion=str(tmp_path / "champion.json")), tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_second_run_leaves_the_sql_table_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/risk.db"
    cfg = config(tmp_path, returns(), score_sql=url)
    for _ in range(2):
        assert go(cfg, tmp_path) == 0
    with sa.create_engine(url).connect() as connection:
        rows = connection.execute(sa.text("select as_of, entity, step, q_500 from risk_scores")).all()
    assert len(rows) == len(scores(tmp_path / "out", LAST)) == 10
    assert {row.as_of for row in rows} == {LAST}


def test_scorings_of_other_series_and_models_share_a_sql_table(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/risk.db"
    for name in ("ABC", "XY", "ABC"):
        table = returns(len(name))
        table["asset"] = [name[int(asset[1:])] for asset in table["asset"]]
        (tmp_path / name).mkdir(exist_ok=True)
        assert go(config(tmp_path / name, table, score_sql=url), tmp_path) == 0
    other = config(tmp_path / "XY", score_sql=url, model_name="seasonal_naive", score_name="desk")
    assert go(other, tmp_path) == 0
    with sa.create_engine(url).connect() as connection:
        stored = connection.execute(
            sa.text(
                "select scoring, model, group_concat(distinct entity) from risk_scores where kind = 'entity' "
                "group by scoring, model order by 3, 2"
            )
        ).all()
    assert [(row[1], row[2]) for row in stored] == [
        ("historical_simulation", "A,B,C"),
        ("historical_simulation", "X,Y"),
        ("seasonal_naive", "X,Y"),
    ]
    assert len({row.scoring for row in stored}) == 3
    assert stored[2].scoring == "desk"


def test_a_database_that_does_not_answer_is_asked_again_and_then_reported_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    pauses: list[float] = []
    answers = {"after": 3}

    def upsert(*_: object) -> int:
        tries.append("try")
        if len(tries) <= answers["after"]:
            raise INTERRUPTIONS("sql_write_interrupted", database="db", table="t", cause="gone")
        return 1

    monkeypatch.setattr(module, "upsert", upsert)
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr("apps.risk.score.time", clock)  # not time.sleep itself: other threads sleep, too
    cfg = config(tmp_path, returns(), score_sql="postgresql://host/db")
    assert go(cfg, tmp_path) == 0
    assert (len(tries), pauses) == (4, [1.0, 2.0, 4.0])
    answers["after"] = 99
    with pytest.raises(
        InputError, match=r"as it was: gone; tried 5 times\. The scores are in .*the same command"
    ):
        go(cfg, tmp_path)
    assert verify(tmp_path / "out" / "scores" / f"as_of={LAST}"), "what was scored stays"
