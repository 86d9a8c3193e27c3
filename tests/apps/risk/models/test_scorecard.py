"""Points by closed form and by known truth, reasons that add up, missing as a bin, what cannot be learned."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from apps.risk.models.forecast import Reason
from apps.risk.models.scorecard import fit_scorecard
from core.errors import InputError

NAN = np.nan


def test_one_feature_without_penalty_has_the_event_rate_of_each_bin() -> None:
    # maximum likelihood of a saturated logistic model is the observed share of each cell
    x = np.repeat([1.0, 2.0, 3.0, NAN], 100)[:, None]
    event = np.zeros((4, 100))
    for row, count in zip(event, (10, 25, 60, 40), strict=True):
        row[:count] = 1.0
    card = fit_scorecard(x, event.ravel(), ["status"], strength=1e8)
    pd = card.forecast(np.array([[1.0], [2.0], [3.0], [NAN], [-np.inf], [99.0], [2.5]])).pd_N
    assert pd == pytest.approx([0.1, 0.25, 0.6, 0.4, 0.1, 0.6, 0.6], abs=1e-4)


def test_known_points_are_found() -> None:
    # truth: log-odds -2, plus 1.5 above 0 in the first feature, minus 1 where the second is missing
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40_000, 3))
    x[generator.random(40_000) < 0.3, 1] = NAN
    truth = expit(-2.0 + 1.5 * (x[:, 0] > 0) - 1.0 * np.isnan(x[:, 1]))
    event = (generator.random(40_000) < truth).astype(float)
    card = fit_scorecard(x, event, ["a", "b", "c"])
    assert [len(points) for points in card.points] == [11, 11, 11]
    points = card.points_NF(np.array([[-1.0, 0.0, 0.0], [1.0, NAN, 2.0]]))
    assert points[1, 0] - points[0, 0] == pytest.approx(1.5, abs=0.25)
    assert points[1, 1] - points[0, 1] == pytest.approx(-1.0, abs=0.25)
    assert points[1, 2] - points[0, 2] == pytest.approx(0.0, abs=0.25)
    pd = card.forecast(x).pd_N
    assert np.sqrt(np.mean((pd - truth) ** 2)) < 0.02
    assert pd.mean() == pytest.approx(event.mean(), abs=1e-4)  # the intercept is not penalised


def test_bins_hold_equal_mass_and_few_values_stay_apart() -> None:
    x = np.stack(
        [np.random.default_rng(1).permutation(1000.0 + np.arange(1000)), np.arange(1000) % 3], axis=1
    )
    card = fit_scorecard(x, (np.arange(1000) % 2).astype(float), ["many", "few"])
    assert card.edges[0].tolist() == [1099.0 + 100 * k for k in range(9)]
    assert card.edges[1].tolist() == [0.0, 1.0]


def test_reasons_add_up_to_the_log_odds_and_stand_in_order() -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=(2000, 3))
    event = (generator.random(2000) < expit(x[:, 0] - 2.0 * x[:, 2])).astype(float)
    card = fit_scorecard(x, event, ["a", "b", "c"])
    points = card.points_NF(x)
    assert card.reference_F == pytest.approx(points.mean(axis=0))
    assert logit(card.forecast(x).pd_N) == pytest.approx(card.intercept + points.sum(axis=1))
    reasons = card.reasons(np.array([[2.0, 0.0, -2.0], [-2.0, 0.0, 2.0]]), most=2)
    above = card.points_NF(np.array([[2.0, 0.0, -2.0]]))[0] - card.reference_F
    assert reasons[0] == (Reason("c", pytest.approx(above[2])), Reason("a", pytest.approx(above[0])))
    assert all(reason.feature == "b" and reason.log_odds > 0 for reason in reasons[1])
    everything = card.reasons(x, most=3)
    assert len(everything) == 2000
    for result, row in zip(everything, points - card.reference_F, strict=True):
        assert sum(reason.log_odds for reason in result) == pytest.approx(row[row > 0].sum())


def test_a_value_missing_for_the_first_time_is_the_average() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(500, 2))
    card = fit_scorecard(x, (generator.random(500) < expit(2 * x[:, 0])).astype(float), ["a", "b"])
    forecast = card.forecast(np.array([[NAN, NAN], [0.0, NAN]]))
    assert forecast.reason_N == ("all_missing", "")
    assert forecast.pd_N[0] == pytest.approx(expit(card.intercept + card.reference_F.sum()))
    assert card.reasons(np.full((1, 2), NAN)) == ((),)


def test_constant_and_empty_features_and_unknown_events_do_no_harm() -> None:
    generator = np.random.default_rng(4)
    x = np.stack([generator.normal(size=400), np.full(400, 7.0), np.full(400, NAN)], axis=1)
    event = (generator.random(400) < expit(x[:, 0])).astype(float)
    alone = fit_scorecard(x[:, :1], event, ["a"]).forecast(x[:, :1]).pd_N
    more = np.concatenate([x, np.full((50, 3), 9.0)])
    card = fit_scorecard(more, np.concatenate([event, np.full(50, NAN)]), ["a", "same", "none"])
    assert card.forecast(x).pd_N == pytest.approx(alone, abs=2e-3)


def test_what_cannot_be_learned_is_refused() -> None:
    x = np.ones((3, 1))
    for value in (0.0, 1.0):
        with pytest.raises(InputError, match=f"the event happened to {3 * value:.0f} of 3 clients") as caught:
            fit_scorecard(x, np.full(3, value), ["a"])
        assert caught.value.code == "event_one_sided"
    with pytest.raises(InputError, match="the event happened to 0 of 0 clients"):
        fit_scorecard(x, np.full(3, NAN), ["a"])
    with pytest.raises(ValueError, match="an event is neither 0 nor 1"):
        fit_scorecard(x, np.array([0.0, 1.0, 2.0]), ["a"])
    with pytest.raises(ValueError, match=r"features have shape \(3, 1\), wanted \(clients, 2\)"):
        fit_scorecard(x, np.array([0.0, 1.0, 1.0]), ["a", "b"])
    with pytest.raises(ValueError, match=r"features have shape \(3, 1\), events \(2,\)"):
        fit_scorecard(x, np.ones(2), ["a"])
