"""Each client is judged by a model that did not see it; figures, gains and stability have their intervals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from apps.risk.data.outcomes import Origins
from apps.risk.data.windows import Batch, Windows
from apps.risk.metrics.credit import capture
from benchmarks.risk import credit


class Memory:
    """A model that tells which clients it has seen: 0.9 for those, 0.1 for others."""

    def __init__(self, origins: Origins) -> None:
        self.seen = set(origins.entity_B.tolist())

    def probability(self, batch: Batch, _: object) -> np.ndarray:
        return np.array([0.9 if entity in self.seen else 0.1 for entity in batch.entity_B.tolist()])


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.risk.models.boosting.TREES", 10)


def test_the_record_of_a_small_book() -> None:
    record = credit.run(
        sample="loan_book", borrowers="120", folds="2", models="scorecard,boosting", samples="20"
    )
    assert set(record["models"]) == {"scorecard", "boosting"}
    for figures in record["models"].values():
        for name in ("auroc", "gini", "ks", "brier", "ece", "capture"):
            assert figures[name]["low"] <= figures[name]["high"]
        assert 0.5 < figures["auroc"]["value"] < 1.0
        assert figures["brier"]["value"] < 0.1
    gain = record["recall_gain_at_alerts"]
    assert gain["beside"] == "scorecard"
    assert list(gain["models"]) == ["boosting"]
    assert record["headline"]["auroc, boosting"] == f"{record['models']['boosting']['auroc']['value']:.4f}"
    assert record["data"]["entities"] == 120
    assert record["data"]["horizon"] == 12
    psi = list(record["stability"].values())
    assert psi == sorted(psi, reverse=True)
    assert {"days_late[-1]", "score"} <= set(record["stability"])
    assert "bootstrap over clients" in record["protocol"]
    json.dumps(record, allow_nan=False)


def test_no_client_is_judged_by_a_model_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(name: str, windows: Windows, origins: Origins, *_: Any, **__: Any) -> Memory:
        return Memory(origins)

    monkeypatch.setattr(credit, "learn", learn)
    record = credit.run(
        sample="loan_book", borrowers="60", folds="3", models="boosting,riskformer", samples="2"
    )
    for name in ("boosting", "riskformer", credit.BLEND):
        # all probabilities are 0.1: then the mean squared error is that of 0.1
        rate = record["data"]["events"] / record["data"]["origins"]
        assert record["models"][name]["brier"]["value"] == pytest.approx(rate * 0.81 + (1.0 - rate) * 0.01)
        assert record["models"][name]["auroc"]["value"] == 0.5


def test_a_gain_in_recall_is_a_paired_difference() -> None:
    event = np.array([1.0] * 10 + [0.0] * 90)
    best, worse = np.linspace(1.0, 0.0, 100), np.linspace(1.0, 0.0, 100)
    worse[5:10], worse[10:15] = best[10:15], best[5:10]  # half of the events change places with others
    recall = credit.gain(best, worse, event, samples=50)
    assert capture(best, event) == 1.0
    assert recall["difference"]["value"] == pytest.approx(0.5)
    assert recall["ratio"]["value"] == pytest.approx(2.0)
    assert 0.0 <= recall["difference"]["low"] <= 0.5 <= recall["difference"]["high"]
    same = credit.gain(best, best, event, samples=10)
    assert same["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
