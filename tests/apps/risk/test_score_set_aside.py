"""Rows that cannot be used: every verb says how many, lists them, and does nothing where they are too many."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk import backtest, evaluate, score, train
from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig
from core.errors import ExitCode, InputError
from core.runs.folder import open_run
from core.training.config import TrainerConfig

VERBS: dict[str, Callable[..., int]] = {
    "score": score.run,
    "backtest": backtest.run,
    "evaluate": evaluate.run,
    "train": train.run,
}
DAYS = 320


def write(folder: Path, broken: int) -> Path:
    """Write two series; the last returns of the second are no numbers."""
    draw = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=DAYS)
    table = pd.concat(
        pd.DataFrame({"asset": name, "date": dates, "ret": draw.standard_t(5, DAYS).round(3).astype(str)})
        for name in "AB"
    )
    table.iloc[len(table) - broken :, 2] = "n/k"
    table.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def call(verb: str, path: Path, folder: Path, **data: Any) -> int:
    cfg = RiskConfig(
        stage=verb,
        output=str(folder / "out"),
        data=DataConfig(sample=None, path=str(path), entity="asset", time="date", targets="ret", **data),
        model=ModelConfig(
            name="historical_simulation" if verb == "score" else "champion", horizon=1, paths=100
        ),
        backtest=BacktestConfig(days=30, models=["historical_simulation"]),
        trainer=TrainerConfig(max_steps=1, batch_size=16),
    )
    record = open_run("risk", verb, str(folder / "run"), "", 0)
    with record.log:
        return VERBS[verb](cfg, record)


@pytest.mark.parametrize("verb", ["score", "backtest", "train"])
def test_a_few_rows_are_said_and_listed(verb: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = call(verb, write(tmp_path, 5), tmp_path)
    assert code == (ExitCode.DONE if verb == "train" else ExitCode.QUARANTINED)
    listed = tmp_path / "run" / "quarantine" / "rows.json"
    if verb == "score":
        (listed,) = (tmp_path / "out" / "quarantine").iterdir()
    said = [line for line in capfd.readouterr().err.splitlines() if "set aside" in line]
    assert len(said) == 1
    assert said[0].startswith(
        f"note: 5 of {2 * DAYS} rows were set aside, all because ret is not a valid number"
    )
    assert said[0].endswith(f"all are listed in {listed}")
    assert listed.read_text().count('"not_a_number"') == 5
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["rejected_rows"] == 5


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_too_many_rows_stop_every_verb_before_its_work(verb: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"100 of {2 * DAYS} rows would be set aside, more than") as caught:
        call(verb, write(tmp_path, 100), tmp_path)
    assert caught.value.code == "too_many_rejected"
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "run" / "quarantine" / "rows.json").read_text().count('"not_a_number"') == 100


def test_the_share_may_be_raised(tmp_path: Path) -> None:
    assert call("score", write(tmp_path, 100), tmp_path, max_rejected=0.2) == ExitCode.QUARANTINED


def test_series_without_scores_are_counted_with_their_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 is not all that a terminal shows of a series that ended."""
    path = write(tmp_path, 0)
    table = pd.read_csv(path)
    table[: 2 * DAYS - 150].to_csv(path, index=False)
    assert call("score", path, tmp_path) == ExitCode.QUARANTINED
    [said] = [line for line in capfd.readouterr().err.splitlines() if "no scores" in line]
    assert said.startswith("note: 1 of 2 series have no scores, all because its last value of ret, of ")
    (listed,) = (tmp_path / "out" / "quarantine").iterdir()
    assert said.endswith(f"(data.max_age) (too_old); all are listed in {listed}")
