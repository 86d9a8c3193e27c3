"""Ranking and calibration: against scikit-learn, scipy, and the plain twin with its ties."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from apps.risk.metrics.credit import (
    BINS,
    FIGURES,
    calibration_table,
    capture,
    credit_figures,
    credit_figures_with_intervals,
)
from core.statistics.bootstrap import resampled_weights
from tests.twins import credit as twin

NAN = np.nan


def book(clients: int, seed: int = 0, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A book whose PD is true, rounded so that many are equal."""
    generator = np.random.default_rng(seed)
    pd_N = np.round(generator.beta(1.0, 4.0, size=clients), decimals)
    return pd_N, (generator.random(clients) < pd_N).astype(float)


def figure(name: str, pd_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray | None = None) -> float:
    return dict(zip(FIGURES, credit_figures(pd_N, default_N, weight_N).tolist(), strict=True))[name]


def test_scikit_learn_and_scipy_agree_on_a_book_with_ties() -> None:
    pd_N, default_N = book(3000)
    assert len(np.unique(pd_N)) < 100
    ours = dict(zip(FIGURES, credit_figures(pd_N, default_N), strict=True))
    area = roc_auc_score(default_N, pd_N)
    assert ours["auroc"] == pytest.approx(area, abs=1e-12)
    assert ours["gini"] == pytest.approx(2 * area - 1, abs=1e-12)
    ks = ks_2samp(pd_N[default_N == 1], pd_N[default_N == 0]).statistic
    assert ours["ks"] == pytest.approx(ks, abs=1e-12)
    false_T, true_T, _ = roc_curve(default_N, pd_N)
    assert ours["ks"] == pytest.approx(np.max(true_T - false_T), abs=1e-12)
    assert ours["brier"] == pytest.approx(brier_score_loss(default_N, pd_N), abs=1e-12)


def test_scikit_learn_agrees_on_weights() -> None:
    pd_N, default_N = book(800, seed=1)
    weight_N = next(resampled_weights(800, 1, seed=2))
    assert 0 in weight_N
    theirs = roc_auc_score(default_N, pd_N, sample_weight=weight_N)
    assert figure("auroc", pd_N, default_N, weight_N) == pytest.approx(theirs, abs=1e-12)
    theirs = brier_score_loss(default_N, pd_N, sample_weight=weight_N)
    assert figure("brier", pd_N, default_N, weight_N) == pytest.approx(theirs, abs=1e-12)


CLIENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=2, max_size=7)
MANY = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1)), min_size=2, max_size=40)


@settings(max_examples=80, deadline=None)
@given(CLIENTS, st.integers(1, 6))
def test_ties_are_exact(clients: list[tuple[int, int]], alerts: int) -> None:
    scores, defaults = [s for s, _ in clients], [d for _, d in clients]
    score_N, default_N = np.array(scores, dtype=float), np.array(defaults, dtype=float)
    ours = dict(zip(FIGURES, credit_figures(score_N / 4, default_N), strict=True))
    if sum(defaults) > 0 and alerts < len(scores):
        captured = capture(score_N, default_N, alert_share=alerts / len(scores))
        assert captured == pytest.approx(float(twin.capture(scores, defaults, alerts)), abs=1e-12)
    if 0 < sum(defaults) < len(defaults):
        assert ours["auroc"] == pytest.approx(float(twin.auroc(scores, defaults)), abs=1e-12)
        assert ours["ks"] == pytest.approx(float(twin.kolmogorov_smirnov(scores, defaults)), abs=1e-12)
    else:
        assert np.isnan([ours["auroc"], ours["ks"]]).all()


@settings(max_examples=80, deadline=None)
@given(MANY)
def test_the_bins_of_ece_are_exact(clients: list[tuple[int, int]]) -> None:
    percent, defaults = [p for p, _ in clients], [d for _, d in clients]
    ours = figure("ece", np.array(percent) / 100, np.array(defaults, dtype=float))
    assert ours == pytest.approx(float(twin.calibration_error(percent, defaults, BINS)), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_is_that_many_equal_clients_and_order_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pd_N, default_N = book(60, seed, decimals=1)
    weight_N = generator.integers(0, 4, size=60)
    copied = np.repeat(np.arange(60), weight_N)
    ours = credit_figures(pd_N, default_N, weight_N, alert_share=0.2)
    shuffled = generator.permutation(copied)
    theirs = credit_figures(pd_N[shuffled], default_N[shuffled], alert_share=0.2)
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def test_the_ranking_figures_hold_under_any_rising_change_of_the_score() -> None:
    pd_N, default_N = book(500)
    for name in ("auroc", "gini", "ks", "capture"):
        assert figure(name, pd_N**3, default_N) == figure(name, pd_N, default_N)
    assert figure("auroc", 1 - pd_N, default_N) == pytest.approx(1.0 - figure("auroc", pd_N, default_N))
    assert capture(np.log(pd_N + 0.01) * 1e6, default_N) == capture(pd_N, default_N)


def test_a_perfect_ranking_and_a_constant_score() -> None:
    default_N = np.repeat([0.0, 1.0], [90, 10])
    perfect = credit_figures(default_N, default_N)
    assert dict(zip(FIGURES, perfect.tolist(), strict=True)) == {
        "auroc": 1.0,
        "gini": 1.0,
        "ks": 1.0,
        "brier": 0.0,
        "ece": 0.0,
        "capture": 1.0,
    }
    constant = credit_figures(np.full(100, 0.1), default_N)
    # alerts among equal scores find defaults in proportion
    assert constant == pytest.approx([0.5, 0.0, 0.0, 0.1 * 0.81 + 0.9 * 0.01, 0.0, 0.1], abs=1e-12)


def test_capture_by_hand() -> None:
    score_N = np.array([0.9, 0.8, 0.8, 0.8, 0.1])
    default_N = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    # two alerts: the first client and a third of the three equal ones
    assert capture(score_N, default_N, alert_share=0.4) == pytest.approx((1 + 1 / 3) / 3)
    # half an alert counts half
    assert capture(score_N, default_N, alert_share=0.1) == pytest.approx(0.5 / 3)


def test_ece_without_ties_is_the_ece_of_ten_equal_slices() -> None:
    generator = np.random.default_rng(3)
    pd_N = generator.permutation(np.linspace(0.001, 0.9, 1234))
    default_N = (generator.random(1234) < pd_N).astype(float)
    order = np.argsort(pd_N)
    table = calibration_table(pd_N, default_N)
    assert (table.clients_K.max() - table.clients_K.min()) <= 1
    slices = np.split(order, np.cumsum(table.clients_K)[:-1])
    assert len(slices) == 10
    expected = sum(abs(pd_N[rows].sum() - default_N[rows].sum()) for rows in slices) / 1234
    assert figure("ece", pd_N, default_N) == pytest.approx(expected)
    assert table.mean_pd_K == pytest.approx([pd_N[rows].mean() for rows in slices])
    assert table.default_rate_K == pytest.approx([default_N[rows].mean() for rows in slices])


def test_jeffreys_bounds() -> None:
    # Brown, Cai & DasGupta 2001, doi:10.1214/ss/1009213286: Jeffreys interval of 0 of 10 and 5 of 10, 95 %
    # (without their correction at the ends), by numerical integration of the Beta density
    def bound(successes: int, trials: int, tail: float) -> float:
        grid = np.linspace(0.0, 1.0, 2_000_001)[1:-1]
        density = np.exp((successes - 0.5) * np.log(grid) + (trials - successes - 0.5) * np.log1p(-grid))
        return float(grid[np.searchsorted(np.cumsum(density) / density.sum(), tail)])

    table = calibration_table(np.repeat([0.1, 0.4], 10), np.repeat([0.0, 1.0], [15, 5]), bins=2)
    assert table.clients_K.tolist() == [10, 10]
    assert table.default_rate_K.tolist() == [0.0, 0.5]
    for column, successes in enumerate([0, 5]):
        for row, tail in enumerate([0.025, 0.975]):
            assert table.interval_2K[row, column] == pytest.approx(bound(successes, 10, tail), abs=2e-3)


def test_a_true_pd_is_calibrated_within_the_table_and_ties_leave_bins_out() -> None:
    pd_N, default_N = book(20_000, seed=4)
    table = calibration_table(pd_N, default_N, confidence=0.999)
    assert table.clients_K.sum() == 20_000
    assert np.all((table.interval_2K[0] < table.mean_pd_K) & (table.mean_pd_K < table.interval_2K[1]))
    assert figure("ece", pd_N, default_N) < 0.01
    coarse = calibration_table(np.repeat([0.1, 0.9], 50), np.tile([0.0, 1.0], 50))
    assert coarse.clients_K.tolist() == [50, 50]


def test_intervals_hold_the_value_repeat_with_the_seed_and_match_theory() -> None:
    pd_N, default_N = book(1500, seed=5)
    figures = credit_figures_with_intervals(pd_N, default_N, samples=300, seed=1)
    assert tuple(figures) == FIGURES
    values = credit_figures(pd_N, default_N)
    for name, value in zip(FIGURES, values, strict=True):
        assert figures[name].value == value
    for name in ("auroc", "gini", "brier", "capture"):
        assert figures[name].lower < figures[name].value < figures[name].upper
    assert figures == credit_figures_with_intervals(pd_N, default_N, samples=300, seed=1)
    assert figures != credit_figures_with_intervals(pd_N, default_N, samples=300, seed=2)
    # Hanley & McNeil 1982, equation 2, bounds the error of AUROC
    area, bad = values[0], default_N.sum()
    good = 1500 - bad
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt(
        (area * (1 - area) + (bad - 1) * (q1 - area**2) + (good - 1) * (q2 - area**2)) / (bad * good)
    )
    width = figures["auroc"].upper - figures["auroc"].lower
    assert width == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_an_interval_over_thirty_thousand_clients_is_a_matter_of_seconds() -> None:
    pd_N, default_N = book(30_000, seed=6, decimals=5)
    start = time.process_time()
    credit_figures_with_intervals(pd_N, default_N, samples=20)
    assert (time.process_time() - start) / 20 < 0.1


def test_clients_whose_outcome_is_unknown_are_left_out() -> None:
    pd_N, default_N = book(100, seed=7)
    unknown = np.insert(default_N, [0, 50], NAN)
    scores = np.insert(pd_N, [0, 50], [NAN, 0.99])
    assert np.array_equal(credit_figures(scores, unknown), credit_figures(pd_N, default_N))
    assert calibration_table(scores, unknown).clients_K.sum() == 100
    ours = credit_figures_with_intervals(scores, unknown, samples=20)
    assert ours == credit_figures_with_intervals(pd_N, default_N, samples=20)


def test_figures_of_one_outcome_are_nan() -> None:
    pd_N = np.array([0.1, 0.2])
    safe = dict(zip(FIGURES, credit_figures(pd_N, np.zeros(2)), strict=True))
    assert np.isnan([safe["auroc"], safe["gini"], safe["ks"], safe["capture"]]).all()
    assert safe["brier"] == pytest.approx((0.01 + 0.04) / 2)
    assert safe["ece"] == pytest.approx(0.15)
    assert capture(pd_N, np.ones(2), alert_share=0.5) == 0.5
    assert np.isnan(credit_figures(pd_N, np.array([0.0, 1.0]), np.zeros(2))).all()


def test_impossible_inputs_are_refused() -> None:
    pd_N, default_N = np.array([0.1, 0.9]), np.array([0.0, 1.0])
    with pytest.raises(ValueError, match=r"wanted equal: actual \(2,\), score_N \(3,\)"):
        credit_figures(np.zeros(3), default_N)
    with pytest.raises(ValueError, match=r"scores have shape \(2, 1\), wanted one row of clients"):
        credit_figures(pd_N[:, None], default_N[:, None])
    with pytest.raises(ValueError, match="a default is neither 0 nor 1"):
        credit_figures(pd_N, np.array([0.0, 2.0]))
    with pytest.raises(ValueError, match="score_N is missing 1 times where the outcome counts"):
        capture(np.array([NAN, 0.2]), default_N)
    with pytest.raises(ValueError, match="score_N has 1 infinite values"):
        capture(np.array([np.inf, 0.2]), default_N)
    with pytest.raises(ValueError, match="none of 2 outcomes counts"):
        credit_figures(pd_N, np.full(2, NAN))
    for made in (credit_figures, calibration_table):
        with pytest.raises(ValueError, match=r"pd lies outside 0\.\.1 1 times"):
            made(np.array([0.1, 1.1]), default_N)
    with pytest.raises(ValueError, match="alert_share is 10, wanted above 0 and below 1"):
        capture(pd_N, default_N, alert_share=10)
    with pytest.raises(ValueError, match="bins is 0, wanted at least 1"):
        calibration_table(pd_N, default_N, bins=0)
    with pytest.raises(ValueError, match="confidence is 95, wanted above 0 and below 1"):
        calibration_table(pd_N, default_N, confidence=95)
    with pytest.raises(ValueError, match=r"weights have shape \(3,\), wanted \(2,\)"):
        credit_figures(pd_N, default_N, np.ones(3))
