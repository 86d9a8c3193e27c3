"""The result of a scoring: who has numbers, what was set aside, the exit code that follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.load import Loaded, load_panel
from apps.risk.scoring.score_rows import Refused, Tally
from apps.risk.scoring.scoring_result import ScoringResult, counts_of, result_of
from core.errors import ExitCode
from tests.apps.risk.score_inputs import returns


def loaded(folder: Path, table: pd.DataFrame) -> Loaded:
    table.to_csv(folder / "t.csv", index=False)
    return load_panel(DataConfig(None, str(folder / "t.csv"), entity="asset", time="day", targets="gain"))


def refused(entity: str, kind: str = "entity") -> Refused:
    return Refused(kind, entity, "gain", "constant", "its values are all the same")


def result(
    inputs: Loaded, tally: Tally, folder: Path, runtimes: Mapping[str, str] | None = None
) -> ScoringResult:
    return result_of(folder / "scores", inputs, tally, {"targets": "2024-03-01"}, 0.25, runtimes or {})


def test_entities_without_numbers_are_counted_by_code(tmp_path: Path) -> None:
    table = returns(4)
    table.loc[table["asset"] == "s001", "gain"] = 1.5
    tally = Tally(aside=[refused("s001"), refused("s003"), refused("hedged", "portfolio")])
    counts = counts_of(loaded(tmp_path, table), tally)
    assert (counts.scored, counts.refused) == (2, {"constant": 2}), "a portfolio is no entity of the table"


def test_nothing_set_aside_is_exit_code_0(tmp_path: Path) -> None:
    made = result(loaded(tmp_path, returns(3)), Tally(few=3), tmp_path)
    assert (made.set_aside, made.exit_code, made.counts.scored) == (0, ExitCode.DONE, 3)
    assert (made.folder, made.seen_in_training) == (tmp_path / "scores", {"targets": "2024-03-01"})
    assert made.metrics == {
        "as_of": "2024-03-22",
        "scored": 3,
        "refused": {},
        "rejected_rows": 0,
        "set_aside": 0,
        "alerts": {},
        "few_observations": 3,
        "exit_code": 0,
    }
    on_artifacts = result(loaded(tmp_path, returns(3)), Tally(few=3), tmp_path, {"targets": "openvino"})
    assert on_artifacts.metrics == {**made.metrics, "runtimes": {"targets": "openvino"}}


@pytest.mark.parametrize("what", ["row", "portfolio"])
def test_a_row_or_a_portfolio_set_aside_is_exit_code_4(what: str, tmp_path: Path) -> None:
    table = returns(3).astype({"gain": object})
    aside = [refused("z", "portfolio"), refused("a", "portfolio")] if what == "portfolio" else []
    if what == "row":
        table.loc[3, "gain"] = "abc"
    made = result(loaded(tmp_path, table), Tally(aside, Counter(b=1, a=2)), tmp_path)
    assert made.exit_code == made.metrics["exit_code"] == ExitCode.QUARANTINED
    assert (made.set_aside, made.metrics["rejected_rows"]) == ((2, 0) if aside else (1, 1))
    assert [one.entity for one in made.refused] == sorted(one.entity for one in aside)
    assert list(made.metrics["alerts"]) == ["a", "b"]
