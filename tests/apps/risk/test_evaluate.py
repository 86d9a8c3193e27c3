"""stage=evaluate in process: chosen on development, the test apart from it, the same bytes twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig
from apps.risk.evaluate import evaluate, run
from apps.risk.models.baselines import BASELINES
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import EMBEDDED
from core.errors import InputError
from core.runs.folder import Run

NAMES = ["filtered_historical_simulation", "historical_simulation"]  # the cheap ones


def config(folder: Path, frame: pd.DataFrame, **roles: Any) -> RiskConfig:
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "table.csv", index=False)
    write_description(folder / "model", Description(TargetsPart(NAMES[0], {})))
    return RiskConfig(
        stage="evaluate",
        output=str(folder / "out"),
        weights=str(folder / "model"),
        data=DataConfig(sample=None, path=str(folder / "table.csv"), entity="who", time="day", **roles),
        backtest=BacktestConfig(days=30),
        model=ModelConfig(horizon=2, paths=100),
    )


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    assert len(BASELINES) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.risk.evaluate.BASELINES", {name: BASELINES[name] for name in NAMES})
        yield


def gains(seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    days = pd.bdate_range("2023-01-02", periods=110)
    return pd.concat(
        [
            pd.DataFrame({"who": name, "day": days, "gain": generator.standard_t(5, len(days))})
            for name in ("a", "b")
        ]
    )


def go(cfg: RiskConfig, folder: Path) -> tuple[int, dict[str, bytes]]:
    record = Run(folder / "run")
    with record.log:
        code = run(cfg, record)
    return code, {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of one evaluation of gains()."""
    folder = tmp_path_factory.mktemp("evaluated")
    code, files = go(config(folder, gains(), targets="gain"), folder)
    assert code == 0
    return files


def test_all_models_stand_side_by_side_and_the_same_call_returns_what_was_written(
    tmp_path: Path, evaluated: dict[str, bytes]
) -> None:
    files = evaluated
    assert list(files) == ["champion.json", "metrics.json", "report.html"]
    result = json.loads(files["metrics.json"])["labels"]["gain"]
    for part in ("development", "test"):
        assert sorted(result[part]) == NAMES
        for figures in result[part].values():
            value, low, high = figures["0.025"]["pinball"]
            assert low <= value <= high
            assert figures["horizon"]["wql"][0] > 0.0
            assert 0.4 <= figures["horizon"]["coverage_80"][0] <= 1.0
    champion = json.loads(files["champion.json"])["gain"]
    assert sorted(champion["mean_rank"]) == NAMES
    assert champion["mean_rank"][champion["champion"]] == min(champion["mean_rank"].values())
    assert f"gain: {champion['champion'].replace('_', ' ')} is the champion" in files["report.html"].decode()
    cfg = config(tmp_path, gains(), targets="gain")
    record = Run(tmp_path / "own")
    with record.log:
        returned = evaluate(cfg, record)
    assert (returned.entities, returned.exit_code) == (2, 0)
    assert returned.metrics == json.loads(files["metrics.json"])
    assert returned.champions == json.loads(files["champion.json"])
    assert returned.page.render().encode() == files["report.html"]


def test_the_test_has_no_say_in_the_choice(tmp_path: Path, evaluated: dict[str, bytes]) -> None:
    other = gains()
    last = other["day"].drop_duplicates().nlargest(30).min()
    other.loc[other["day"] >= last, "gain"] *= -3.0
    _, changed = go(config(tmp_path, other, targets="gain"), tmp_path)
    assert evaluated["champion.json"] == changed["champion.json"]
    result = [json.loads(files["metrics.json"])["labels"]["gain"] for files in (evaluated, changed)]
    assert result[0]["development"] == result[1]["development"]
    assert result[0]["test"] != result[1]["test"]


def test_a_table_of_other_columns_than_the_event_was_trained_on_is_one_line(tmp_path: Path) -> None:
    table = gains().assign(bad=0.0)
    cfg = replace(config(tmp_path, table, event="bad", observed="gain"), weights=str(EMBEDDED / "loan_book"))
    with pytest.raises(InputError, match=r"the model was trained with .*, the table has") as caught:
        go(cfg, tmp_path)
    assert caught.value.code == "schema_differs"
    assert not (tmp_path / "out").exists()
