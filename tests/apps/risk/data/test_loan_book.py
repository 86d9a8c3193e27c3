"""The generated loan book: its truth against a plain twin and against what happens, and its form."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.contracts import check
from apps.risk.data.loan_book import (
    CURRENT,
    LATE_30,
    LATE_60,
    SEGMENTS,
    build_economy,
    build_rates,
    generate_loan_book,
    true_pd,
)


def test_the_economy_keeps_the_moments_of_its_autoregressions() -> None:
    economy = build_economy()
    np.testing.assert_allclose(economy.step_MM.sum(axis=1), 1.0)
    np.testing.assert_allclose(economy.start_M @ economy.step_MM, economy.start_M)  # long-run
    for value_M, persistence in ((economy.unemployment_M, 0.97), (economy.rate_M, 0.93)):
        assert economy.start_M @ value_M == pytest.approx(0.0, abs=1e-12)
        assert economy.start_M @ value_M**2 == pytest.approx(1.0)
        # the expected value a month later is persistence times the value, as in an AR(1)
        np.testing.assert_allclose(economy.step_MM @ value_M, persistence * value_M, atol=1e-12)


def _plain_pd(worse_MS: np.ndarray, cured_MS: np.ndarray, closed: float, horizon: int) -> np.ndarray:
    """Multiply out the whole chain of economy and repayment of one borrower; (M, S)."""
    economy = build_economy()
    M = len(economy.start_M)
    size = 5  # three repayment states, default, closed
    chain = np.full((M * size, M * size), np.nan)
    for old, new in itertools.product(range(M), range(M)):
        step = np.zeros((size, size))
        for state in (CURRENT, LATE_30, LATE_60):
            worse = worse_MS[old, state]
            step[state, state + 1] = worse
            step[state, 4 if state == CURRENT else CURRENT] = (1 - worse) * (
                closed if state == CURRENT else cured_MS[old, state]
            )
            step[state, state] = 1 - step[state].sum()
        step[3, 3] = step[4, 4] = 1.0
        chain[old * size : (old + 1) * size, new * size : (new + 1) * size] = economy.step_MM[old, new] * step
    assert not np.isnan(chain).any()
    later = np.linalg.matrix_power(chain, horizon).reshape(M, size, M, size)
    return later[:, :3, :, 3].sum(axis=2)


@pytest.mark.parametrize("horizon", [1, 2, 12])
def test_true_probabilities_agree_with_the_plain_twin(horizon: int) -> None:
    economy = build_economy()
    rates = build_rates(np.array([-2.0, 0.3, 1.5]), np.array([0, 1, 2]), economy)
    pd_NMS = true_pd(rates, economy, horizon)
    for borrower in range(3):
        wanted = _plain_pd(rates.worse_NMS[borrower], rates.cured_NMS[borrower], rates.closed, horizon)
        np.testing.assert_allclose(pd_NMS[borrower], wanted, rtol=1e-10)


def test_defaults_of_the_next_month_come_as_often_as_they_should() -> None:
    # given state and economy they are independent: the sum is normal, and |z| > 4 has a chance of 6e-5
    truth = generate_loan_book(4000, 24, horizon=1, seed=7).truth.dropna()
    assert truth["outcome"].sum() > 100
    assert not truth.loc[truth["pd"] == 0, "outcome"].any()  # a default comes after 60 days
    truth = truth[truth["pd"] > 0]
    assert truth["pd"].nunique() > 100
    for _, part in truth.groupby(pd.qcut(truth["pd"], 4)):
        spread = np.sqrt((part["pd"] * (1 - part["pd"])).sum())
        assert abs((part["outcome"] - part["pd"]).sum()) < 4 * spread


@pytest.mark.slow
def test_defaults_of_a_year_come_as_often_as_they_should_over_many_economies() -> None:
    # defaults of one book share its economy, so books are what is independent
    surplus = []
    for seed in range(150):
        truth = generate_loan_book(60, 14, horizon=12, seed=seed).truth.dropna()
        surplus.append((truth["outcome"] - truth["pd"]).sum())
    error = np.std(surplus) / np.sqrt(len(surplus))
    assert abs(np.mean(surplus)) < 4 * error
    assert np.std(surplus) > 0


def test_the_table_is_in_the_contracts_form() -> None:
    book = generate_loan_book(300, 24, seed=1)
    checked = check(book.table, book.columns)
    assert len(checked.rejected) == 0
    assert len(checked.accepted) == len(book.table)
    assert book.table["borrower"].nunique() == 300
    assert set(book.table["segment"]) == set(SEGMENTS)
    assert set(book.table["default"]) == {0.0, 1.0}


def test_a_default_ends_a_series_and_is_not_at_risk() -> None:
    book = generate_loan_book(500, 36, seed=2)
    last = book.table.groupby("borrower").tail(1)
    assert last["default"].sum() == book.table["default"].sum() > 20
    assert len(book.truth) == (book.table["default"] == 0).sum()
    assert (book.table.loc[book.table["default"] == 1, "days_late"] == 90).all()
    keys = book.table.groupby("borrower")["month"]
    months = keys.agg(lambda month: month.dt.to_period("M").astype("int64").diff().dropna().eq(1).all())
    assert months.all()
    assert keys.min().nunique() > 10  # some join later


def test_outcomes_are_known_only_where_the_horizon_ends_within_the_book() -> None:
    book = generate_loan_book(400, 20, horizon=6, seed=3)
    months = np.sort(book.table["month"].unique())
    known = book.truth.dropna()
    assert known["month"].max() == months[-7]
    assert book.truth.loc[book.truth["month"] <= months[-7], "outcome"].notna().all()
    when = book.table[book.table["default"] == 1].set_index("borrower")["month"]
    falls = known["borrower"].map(when)
    wanted = (falls - known["month"]) < pd.Timedelta(days=6 * 31)
    assert (known["outcome"] == wanted).all()
    assert generate_loan_book(50, 5, horizon=6).truth["outcome"].isna().all()


def test_about_four_in_a_hundred_default_a_year_and_the_truth_ranks_them() -> None:
    economy = build_economy()
    draw = np.random.default_rng(0)
    rates = build_rates(draw.normal(size=2000), draw.choice(3, size=2000, p=(0.2, 0.5, 0.3)), economy)
    of_current = true_pd(rates, economy, 12)[..., CURRENT].mean(axis=0)
    assert 0.03 < of_current @ economy.start_M < 0.05
    assert of_current.max() > 3 * of_current.min()  # the economy matters
    truth = generate_loan_book(3000, 13, seed=11).truth.dropna()
    defaulted, alive = (truth.loc[truth["outcome"] == outcome, "pd"].to_numpy() for outcome in (1.0, 0.0))
    assert len(defaulted) > 20
    assert np.mean(defaulted[:, None] > alive[None, :]) > 0.7


def test_the_same_seed_gives_the_same_book() -> None:
    first, again, other = (generate_loan_book(50, 12, seed=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.truth, again.truth)
    assert not first.table.equals(other.table)


@pytest.mark.parametrize(("borrowers", "months", "horizon"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_nothing_to_generate_is_refused(borrowers: int, months: int, horizon: int) -> None:
    with pytest.raises(ValueError, match="wanted 1 or more of each"):
        generate_loan_book(borrowers, months, horizon)


def test_one_borrower_of_one_month_is_a_book() -> None:
    book = generate_loan_book(1, 1, 1)
    assert len(book.table) == len(book.truth) == 1


def test_a_large_book_takes_about_a_second() -> None:
    begin = time.process_time()
    book = generate_loan_book()
    assert time.process_time() - begin < 5.0  # about one on an idle machine
    assert book.table["borrower"].nunique() == 10_000
