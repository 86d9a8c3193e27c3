"""The page of a backtest: the best model's walk, five tables of models, tests of each series."""

from __future__ import annotations

import numpy as np

from apps.risk.evaluation.judged import judge, overall
from apps.risk.models.baselines import HistoricalSimulation
from apps.risk.models.walking import Asked, outcomes, walk_days
from apps.risk.report.backtest_page import backtest_page, least
from core.reports.page import Table
from tests.apps.risk.models.test_baselines import panel, returns


def test_the_page_shows_the_model_of_least_loss() -> None:
    whole = panel(returns(5, 400))
    models = {"slow": HistoricalSimulation(window=300), "fast": HistoricalSimulation(window=20)}
    walks = {name: walk_days(model, whole, "target", 60) for name, model in models.items()}
    walks["fast"].var_NDL[:] *= 4.0
    walks["fast"].es_NDL[:] *= 4.0
    judged = judge(walks, outcomes(whole, "target", 60), whole.entities, Asked("entity", 1))
    figures = {"entity_1": {name: overall(judged, name) for name in walks}}
    assert least(figures["entity_1"], 0.025) == "slow"
    page = backtest_page([whole], "target", {judged.asked: judged}, figures, walks, 60)
    assert [section.title for section in page.sections] == [
        "Models side by side",
        "Day by day",
        "Each series, one day ahead",
        "How it was done",
    ]
    assert [tile.value for tile in page.tiles[:3]] == ["5", "60", "slow"]
    tables = [block for block in page.sections[0].blocks if isinstance(block, Table)]
    assert len(tables) == 2
    assert page.sections[1].blocks[0].text.endswith("1 more series are in backtest.csv.")  # type: ignore[union-attr]
    assert len(page.sections[1].blocks) == 1 + 4
    tests = page.sections[2].blocks[0]
    assert isinstance(tests, Table)
    assert len(tests.rows) == 5 * 2
    assert page.subtitle == "2 models side by side, 2021-04-21 to 2021-07-13."
    assert page.render() == page.render()


def test_without_losses_there_is_no_best_model() -> None:
    nothing = {"0.025": {"pinball": None}}
    assert least({"a": nothing}, 0.025) is None
    assert least({"a": nothing, "b": {"0.025": {"pinball": [1.0, 0.5, 1.5]}}}, 0.025) == "b"


def test_days_are_those_of_the_calendar() -> None:
    whole = panel(np.ones((1, 30)).cumsum(axis=1))
    walks = {"one": walk_days(HistoricalSimulation(), whole, "target", 5)}
    judged = judge(walks, outcomes(whole, "target", 5), whole.entities, Asked("entity", 1))
    figures = {"entity_1": {"one": overall(judged, "one")}}
    page = backtest_page([whole], "target", {judged.asked: judged}, figures, walks, 5)
    assert page.subtitle == "1 models side by side, 2020-02-05 to 2020-02-11."
    assert [tile.label for tile in page.tiles] == ["Series", "Days"]
