"""The champion is the one of least log loss on what none learned from; parts are fixed by date or by name."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from apps.risk.data.outcomes import Origins
from apps.risk.data.panel import take
from apps.risk.data.windows import Windows
from apps.risk.models import event_training
from apps.risk.models.event_models import BoostingEvent, ScorecardEvent
from apps.risk.models.event_training import (
    FittedEvents,
    fit_event_models,
    hash_part,
    known_origins,
    learn,
    log_loss,
    part,
    strength_of,
)
from core.errors import InputError
from core.runs.log import RunLog
from core.training.config import TrainerConfig
from tests.apps.risk.models.events import HORIZON, book, origins, whole, windows

NAMES = ("scorecard", "boosting")


@functools.cache
def fitted(folder: Path) -> FittedEvents:
    with pytest.MonkeyPatch.context() as patch, RunLog(folder / "log.jsonl") as log:
        patch.setattr("apps.risk.models.boosting.TREES", 25)
        return fit_event_models(whole(), HORIZON, NAMES, TrainerConfig(), folder, log, seed=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


def test_the_champion_has_the_least_loss_of_all(folder: Path) -> None:
    models, champion, figures = fitted(folder)
    assert isinstance(models["scorecard"], ScorecardEvent)
    assert isinstance(models["boosting"], BoostingEvent)
    losses = {name: metadata["log_loss"] for name, metadata in figures["development"]["models"].items()}
    assert losses[champion] == min(losses.values())
    assert losses["scorecard"] != losses["boosting"]
    assert figures["champion"] == champion
    assert figures["development"]["origins"] + figures["learned_for_development"]["origins"] <= len(origins())
    assert figures["learned"] == {
        "origins": len(origins()),
        "events": int(origins().event_B.sum()),
        "entities": len(np.unique(origins().entity_B)),
        "first": "2015-01-31",
        "last": "2015-11-30",  # three months before the book ends
    }


def test_what_is_kept_learned_from_everything_and_is_near_the_truth(folder: Path) -> None:
    model = fitted(folder).models["scorecard"]
    again = learn("scorecard", Windows(whole(), 24, HORIZON), origins(), TrainerConfig(), folder, no_log(), 0)
    panel = whole()
    assert np.array_equal(model.forecast_event(panel).pd_N, again.forecast_event(panel).pd_N)
    truth = book().truth.set_index(["borrower", "month"])["pd"]
    last = panel.calendar_T[-1]
    true_N = np.array([truth.get((name, last), np.nan) for name in panel.entities])
    pd_N = model.forecast_event(panel).pd_N
    assert (~np.isnan(true_N)).sum() > 100
    known_N = ~np.isnan(true_N)
    assert np.corrcoef(pd_N[known_N], true_N[known_N])[0, 1] > 0.5
    assert abs(pd_N[known_N].mean() - true_N[known_N].mean()) < 0.02


def no_log() -> Any:
    """For models that log nothing."""
    return None


def some(step: list[int], event: list[int], entity: list[int] | None = None) -> Origins:
    count = len(step)
    numbers = np.arange(count) if entity is None else np.array(entity)
    return Origins(np.arange(count), numbers, np.array(step), np.array(event, dtype=np.float64))


def test_parts_by_date_leave_out_what_was_not_known_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_training, "FEWEST", 2)
    steps = [step for step in range(8) for _ in range(4)]
    given = some(steps, [0, 1, 0, 1] * 8, [0] * 32)
    result = part(given, whole(), horizon=3)
    assert result.by == "date"
    assert set(given.step_B[result.choose_N]) == {6, 7}
    # what was asked on date 3 was known on date 6, what was asked later was not
    assert set(given.step_B[result.learn_N]) == {0, 1, 2, 3}


def test_parts_by_entity_where_there_is_one_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_training, "FEWEST", 2)
    entities = len(whole().entities)
    given = some([0] * entities, [0, 1] * (entities // 2))
    result = part(given, whole(), horizon=1)
    assert result.by == "entity"
    assert (result.learn_N ^ result.choose_N).all()
    assert result.choose_N.mean() == pytest.approx(0.2, abs=0.08)
    keep = np.arange(entities) % 2 == 0
    half = part(some([0] * keep.sum(), [0, 1] * (int(keep.sum()) // 2)), take(whole(), keep), horizon=1)
    assert np.array_equal(half.choose_N, result.choose_N[keep])  # the others in the table do not matter


def test_a_name_has_one_part() -> None:
    counts = np.bincount([hash_part(f"B{n}") for n in range(5000)], minlength=5)
    assert counts.min() > 900
    assert hash_part("B1") == hash_part("B1")
    assert {hash_part(f"B{n}", parts=2) for n in range(20)} == {0, 1}


def test_many_origins_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_training, "MOST", 50)
    one, again, other = (known_origins(windows(), seed) for seed in (0, 0, 1))
    assert len(one) == 50
    assert len(np.unique(one.origin_B)) == 50
    assert np.array_equal(one.origin_B, again.origin_B)
    assert not np.array_equal(one.origin_B, other.origin_B)


def test_many_dates_of_few_clients_want_a_stronger_penalty() -> None:
    generator = np.random.default_rng(0)
    x_C, names = generator.normal(size=(150, 12)), [f"x{number}" for number in range(12)]
    event_C = (generator.random(150) < 0.4).astype(float)  # nothing tells of it
    dates = some(
        [0] * 1500, np.repeat(event_C, 10).astype(int).tolist(), np.repeat(np.arange(150), 10).tolist()
    )
    assert strength_of(np.repeat(x_C, 10, axis=0), dates, names, 0) == 0.01
    # one date each, and one number says all
    metadata = some([0] * 3000, [0, 1] * 1500)
    assert strength_of(np.tile([[0.0], [1.0]], (1500, 1)), metadata, ["x"], 0) == 1.0
    few = some([0] * 30, [1] * 5 + [0] * 25)
    assert strength_of(np.zeros((30, 1)), few, ["x"], 0) == 1.0


def test_log_loss_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    pd, event = generator.random(50), (generator.random(50) < 0.3).astype(float)
    assert log_loss(pd, event) == pytest.approx(sklearn_log_loss(event, pd))
    assert np.isfinite(log_loss(np.array([0.0, 1.0]), np.array([1.0, 0.0])))


def test_what_cannot_be_learned_is_refused(folder: Path) -> None:
    early = replace(whole(), past_N=np.minimum(whole().past_N, 1))
    first = take(early, early.step_R[early.offset_N1[:-1]] == 0)
    with pytest.raises(
        InputError, match="no date of which it is known whether the event came within 3 steps"
    ) as caught:
        known_origins(Windows(first, 6, HORIZON), 0)
    assert caught.value.code == "event_unknown"
    with pytest.raises(ValueError, match="there is no event model 'crystal_ball'"):
        learn("crystal_ball", windows(), origins(), TrainerConfig(), folder, no_log(), 0)
