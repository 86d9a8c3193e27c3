"""A model that forecasts days of its training is warned of, once, on the terminal; others are not."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from apps.risk.backtest import run as backtest
from apps.risk.config import BacktestConfig, DataConfig
from apps.risk.data.load import load_panel
from apps.risk.data.mixture import UNTIL
from apps.risk.evaluate import run as evaluate
from apps.risk.evaluation.seen_in_training import warn_of_seen
from apps.risk.models.description import Description, TargetsPart
from apps.risk.models.risk_model import EMBEDDED, describe
from apps.risk.score import run as score
from core.runs.folder import open_run
from core.runs.log import RunLog
from core.terminal.silence import silenced
from tests.apps.risk.score_inputs import config, returns

SEEN = TargetsPart("tft", {}, until="2024-03-20")
VERBS = {"score": score, "evaluate": evaluate, "backtest": backtest}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What our own lines go to while a stage runs and everything else is withheld."""
    screen = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", screen)
    return screen


@pytest.mark.parametrize(
    ("part", "first", "warned"),
    [
        (SEEN, "2024-03-20T00:00:00", True),
        (SEEN, "2024-03-21T12:00:00", False),
        (TargetsPart("tft", {}), "2024-01-01", False),
        (None, "2024-01-01", False),
    ],
)
def test_a_warning_is_of_days_that_were_seen(
    part: TargetsPart | None, first: str, warned: bool, tmp_path: Path, terminal: io.StringIO
) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        seen = warn_of_seen(Description(part), "targets", np.datetime64(first, "us"), log)
    assert seen == ({"targets": "2024-03-20"} if warned else {})
    assert terminal.getvalue().count("\n") == int(warned)
    if warned:
        assert "trained on data until 2024-03-20 and forecast days from 2024-03-20 on" in terminal.getvalue()
    assert ("seen_in_training" in (tmp_path / "log.jsonl").read_text()) is warned


def test_the_line_is_not_withheld_while_a_stage_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunLog(tmp_path / "log.jsonl") as log, silenced():
        print("a third party's words", file=sys.stderr)
        warn_of_seen(Description(SEEN), "targets", np.datetime64("2024-03-20"), log)
    result = capfd.readouterr().err
    assert result.startswith("warning: models of targets were trained")
    assert "third party" not in result


def test_the_embedded_weights_say_until_when_they_were_trained() -> None:
    assert describe().until("targets") == UNTIL
    book = load_panel(DataConfig(sample="loan_book"))
    assert describe(EMBEDDED / "loan_book").until("event") == str(book.as_of.wall.astype("datetime64[D]"))


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_warns_and_marks_what_it_writes(verb: str, tmp_path: Path, terminal: io.StringIO) -> None:
    """The embedded network saw returns until 2008; the table ends in 2024, and once more in 2007."""
    for weeks, seen in ((0, {}), (52 * 17, {"targets": UNTIL})):
        table = returns(3)
        table["day"] = (pd.to_datetime(table["day"]) - pd.Timedelta(weeks=weeks)).dt.strftime("%Y-%m-%d")
        folder = tmp_path / str(weeks)
        folder.mkdir()
        walk = BacktestConfig(days=20, models=["riskformer"])
        cfg = config(folder, table, weights=str(EMBEDDED / "series"), model_horizon=1, backtest=walk)
        record = open_run("risk", verb, str(folder / "run"), "", 0)
        with record.log:
            VERBS[verb](cfg, record)
        assert ("warning" in terminal.getvalue()) is bool(seen)
        if verb == "score":
            (manifest,) = (folder / "out" / "scores").glob("*/_manifest.json")
            assert json.loads(manifest.read_text())["seen_in_training"] == seen
            continue
        assert json.loads((folder / "out" / "metrics.json").read_text())["seen_in_training"] == seen
        marked = f"trained on data until {UNTIL}" in (folder / "out" / "report.html").read_text()
        assert marked is bool(seen)
