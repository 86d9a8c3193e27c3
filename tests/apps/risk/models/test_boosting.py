"""Trees find what a line cannot, probabilities are the truth's, owners stay together, what cannot be learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import roc_auc_score

from apps.risk.models import boosting
from apps.risk.models.boosting import fit_boosting
from apps.risk.models.scorecard import fit_scorecard
from core.errors import InputError

NAN = np.nan


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "TREES", 80)


def book(clients: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, events and true probabilities: high where the signs of two features differ, or the third is missing."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(clients, 3))
    x[generator.random(clients) < 0.2, 2] = NAN
    truth = expit(-2.5 + 2.5 * (x[:, 0] * x[:, 1] < 0) + 1.0 * np.isnan(x[:, 2]))
    return x, (generator.random(clients) < truth).astype(float), truth


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic"])
def test_probabilities_are_near_the_truth_of_clients_not_seen(calibration: Any) -> None:
    x, event, _ = book(6000, 0)
    new, new_event, truth = book(6000, 1)
    pd = fit_boosting(x, event, calibration=calibration, folds=3).forecast(new).pd_N
    # one probability for all has an error of the truth's own spread
    assert np.sqrt(np.mean((pd - truth) ** 2)) < truth.std() / 3.0
    assert pd.mean() == pytest.approx(truth.mean(), abs=0.015)
    for low, high in [(0.0, 0.3), (0.3, 0.6), (0.6, 1.0)]:
        inside = (pd >= low) & (pd < high)
        assert inside.sum() > 300
        assert pd[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.04)
    line = fit_scorecard(x, event, ["a", "b", "c"]).forecast(new).pd_N
    # the true probability's own AUROC bounds both
    best = roc_auc_score(new_event, truth)
    assert best - 0.02 < roc_auc_score(new_event, pd) <= best + 0.005
    assert roc_auc_score(new_event, pd) > roc_auc_score(new_event, line) + 0.1
    assert np.sqrt(np.mean((line - truth) ** 2)) > truth.std() / 2.0


def test_the_seed_decides() -> None:
    x, event, _ = book(800, 2)
    one, again, other = (fit_boosting(x, event, folds=2, seed=seed).forecast(x).pd_N for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_rows_of_one_owner_are_never_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def watched(*values: Any, **options: Any) -> CalibratedClassifierCV:
        seen.extend(options["cv"])
        return CalibratedClassifierCV(*values, **options)

    monkeypatch.setattr(boosting, "CalibratedClassifierCV", watched)
    x, event, _ = book(400, 3)
    event[:40] = NAN  # rows are numbered among the known ones
    owner = np.arange(400) // 4
    fit_boosting(x, event, owner, folds=4)
    assert len(seen) == 4
    assert sorted(np.concatenate([test for _, test in seen])) == list(range(360))
    for train, test in seen:
        assert not set(owner[40:][train]) & set(owner[40:][test])


def test_odd_clients_are_scored() -> None:
    x, event, _ = book(600, 4)
    x[:, 0] = 5.0
    fitted = fit_boosting(x, event, folds=2)
    forecast = fitted.forecast(np.array([[NAN, NAN, NAN], [1e18, -1e18, 0.0]]))
    assert forecast.reason_N == ("all_missing", "")
    assert ((forecast.pd_N > 0.0) & (forecast.pd_N < 1.0)).all()
    assert fitted.forecast(np.zeros((0, 3))).pd_N.shape == (0,)


def test_rare_events_take_fewer_folds_or_are_refused() -> None:
    x, event, _ = book(200, 5)
    event[:] = 0.0
    event[[3, 50]] = 1.0
    assert fit_boosting(x, event).forecast(x).pd_N.mean() == pytest.approx(0.01, abs=0.03)
    event[3] = 0.0
    with pytest.raises(InputError, match="only 1 client stands for one outcome of the event") as caught:
        fit_boosting(x, event)
    assert caught.value.code == "event_few_clients"
    event[50] = 0.0
    with pytest.raises(InputError, match="the event happened to 0 of 200 clients"):
        fit_boosting(x, event)


def test_impossible_input_is_refused() -> None:
    x, event, _ = book(100, 6)
    fitted = fit_boosting(x, event, folds=2)
    with pytest.raises(ValueError, match=r"features have shape \(100, 2\), wanted \(clients, 3\)"):
        fitted.forecast(x[:, :2])
    x[0, 0] = np.inf
    with pytest.raises(ValueError, match="features have 1 infinite values"):
        fitted.forecast(x)
    with pytest.raises(ValueError, match="features have 1 infinite values"):
        fit_boosting(x, event)
