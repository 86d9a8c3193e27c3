"""The page of an evaluation: champion, test before development, calibration of each model, features that moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.risk.evaluation.event_evaluation import Evaluated
from apps.risk.evaluation.judged import Judged, Row
from apps.risk.evaluation.parts import Parts
from apps.risk.metrics.credit import calibration_table
from apps.risk.metrics.tail_figures import TailFigures
from apps.risk.models.walking import Asked
from apps.risk.report.evaluation_page import event_page, targets_page
from core.reports.page import Gallery, Table

TRIPLE = [0.5, 0.4, 0.6]


def level() -> dict[str, Any]:
    passed = {"kupiec": 1.0, "independence": 1.0, "dq": 0.5, "z2": None}
    return {"pinball": TRIPLE, "fz": TRIPLE, "passed": passed, "share": 0.02, "too_few": 0}


def target_figures() -> dict[str, dict[str, Any]]:
    levels = {name: level() for name in ("0.01", "0.025", "0.05")}
    return {
        name: {**levels, "horizon": {"wql": TRIPLE, "mase": TRIPLE}} for name in ("riskformer", "gjr_garch")
    }


def test_the_champion_of_a_target_and_all_models() -> None:
    row = Row("riskformer", "entity", "Oil", 1, 0, "", TailFigures(level=0.01, test_days=250, exceedances=3))
    judged = Judged(Asked("entity", 1), [row], {})
    champion = {"champion": "gjr_garch", "rule": "least loss"}
    page = targets_page("return", Parts(target_figures(), target_figures()), champion, judged)
    assert (page.title, page.subtitle) == ("return: gjr garch is the champion", "By the least loss.")
    assert [tile.value for tile in page.tiles] == ["gjr garch", "0.5000"]
    assert [section.title for section in page.sections][:2] == [
        "Test",
        "Development, by which the champion was chosen",
    ]
    tables = [block for block in page.sections[0].blocks if isinstance(block, Table)]
    assert len(tables) == 3 + 1
    assert tables[-1].rows[0] == ["riskformer", *["0.500 (0.400 to 0.600)"] * 2, "–"]
    assert "Oil" in page.render()


def test_the_champion_of_an_event_and_calibration_of_each_model() -> None:
    result = {**dict.fromkeys(("auroc", "gini", "ks", "brier", "ece", "capture"), TRIPLE), "clients": 90}
    parts = Parts({"scorecard": result, "boosting": result}, {"scorecard": result, "boosting": result})
    table = calibration_table(np.array([0.1, 0.9] * 20), np.array([0.0, 1.0] * 20), bins=2)
    stability = {f"bill[-{lag}]": 0.3 / lag for lag in range(1, 18)}
    evaluated = Evaluated(parts, {"scorecard": table, "boosting": table}, stability)
    page = event_page("default", {"champion": "boosting", "rule": "rule"}, evaluated)
    assert [tile.value for tile in page.tiles] == ["boosting", "0.500", "90"]
    gallery = page.sections[0].blocks[1]
    assert isinstance(gallery, Gallery)
    assert len(gallery.figures) == 2
    moved = page.sections[2].blocks[0]
    assert isinstance(moved, Table)
    assert moved.rows[:2] == [["bill[-1]", "0.300"], ["bill[-2]", "0.150"]]
    assert len(moved.rows) == 15
    assert moved.caption.endswith("The 15 largest of 17; all are in metrics.json.")
    assert "Defaults among alerts" in page.render()
