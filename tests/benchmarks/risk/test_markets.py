"""The short twin: few days of real indices through the whole measurement; the test unseen by development."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.history import known_until, steps_known
from apps.risk.data.samples import SAMPLES, Sample
from benchmarks.risk.markets import load_task, measure, run
from core.errors import InputError

CHEAP = "gjr_garch,historical_simulation,filtered_historical_simulation"


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample() -> Sample:
        generator = np.random.default_rng(0)
        days = pd.bdate_range("2020-01-01", periods=400)
        names = [f"s{n}" for n in range(3)]
        table = pd.concat(
            [
                pd.DataFrame({"asset": name, "date": days, "return": generator.standard_t(4, 400)})
                for name in names
            ]
        )
        return Sample("stocks", table, Columns(entity="asset", time="date", targets=("return",)), "", "", "")

    monkeypatch.setitem(SAMPLES, "stocks", sample)


def test_the_record_holds_every_model_with_intervals() -> None:
    record = run(days="60", sp500_days="40", models=CHEAP)
    assert list(record["tasks"]) == ["stocks", "sp500"]
    assert [(result["assets"], list(result["models"])) for result in record["tasks"].values()] == [
        (3, CHEAP.split(",")),
        (1, CHEAP.split(",")),
    ]
    for days, result in zip((60, 40), record["tasks"].values(), strict=True):
        for name, by_level in result["models"].items():
            for level, figure in by_level.items():
                for loss in ("pinball", "fz"):
                    assert figure[loss]["low"] <= figure[loss]["value"] <= figure[loss]["high"]
                passed = figure["passed"]["kupiec"]
                if round(float(level) * days, 9) < 2:
                    assert passed is None, "too few exceedances are expected"
                else:
                    assert 0.0 <= passed <= 1.0
                assert ("against" in figure) == (name != "gjr_garch")
    models = record["tasks"]["stocks"]["models"]
    difference = models["historical_simulation"]["0.025"]["against"]["pinball"]["value"]
    values = [models[name]["0.025"]["pinball"]["value"] for name in ("historical_simulation", "gjr_garch")]
    assert difference == pytest.approx(values[0] - values[1], abs=1e-6)
    assert record["tasks"]["sp500"]["last_day"] == "2018-12-31"
    assert "stocks 60 days, 2021-04-21 to 2021-07-13" in record["protocol"]
    assert len(record["headline"]) == 6


def test_development_ends_where_the_test_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, Any] = {"development_days": "40", "models": "historical_simulation", "tasks": "stocks"}
    result = run(days="60", part="development", **words)["tasks"]["stocks"]
    assert (result["first_day"], result["last_day"]) == ("2021-02-24", "2021-04-20")
    before = SAMPLES["stocks"]()
    changed = before.table.assign(
        **{"return": before.table["return"].where(before.table["date"] < "2021-04-21", 9.0)}
    )
    monkeypatch.setitem(SAMPLES, "stocks", lambda: Sample("stocks", changed, before.columns, "", "", ""))
    assert run(days="60", part="development", **words)["tasks"]["stocks"] == result


def test_a_model_alone_is_compared_with_nothing() -> None:
    panel = load_task("stocks")
    panel = known_until(panel, steps_known(panel) - 10)
    result = measure(panel, 30, ["historical_simulation"], None)
    assert "against" not in result["models"]["historical_simulation"]["0.01"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"part": "all"}, "'all' is no part; there are test, development"),
        ({"tasks": "stocks,bonds"}, "'bonds' is no task; there are stocks, sp500"),
    ],
)
def test_names_that_are_none_are_refused(words: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(**words)
