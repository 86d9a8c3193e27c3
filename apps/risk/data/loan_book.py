"""A generated loan book whose true default probabilities are known, for tests of calibration.

Two macro factors are Markov chains that keep mean, variance and persistence of an AR(1) (Rouwenhorst's method;
Kopecky & Suen 2010, doi:10.1016/j.red.2010.02.002), so that the probability of a default within h months, over all
futures of the economy, is a finite sum and not an estimate.
Legend: N borrowers, M states of the economy, S = 3 repayment states, T months.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from apps.risk.data.columns import Columns

SEGMENTS = ("business", "consumer", "mortgage")
REGIONS = ("east", "north", "south", "west")
CURRENT, LATE_30, LATE_60, DEFAULTED, CLOSED, NOT_YET = 0, 1, 2, 3, 4, -1
_ACTIVE = 3  # states below this one
_FACTOR_STATES = 5
_PERSISTENCE = (0.97, 0.93)  # monthly, of unemployment and of the interest rate
COLUMNS = Columns(
    entity="borrower",
    time="month",
    targets=(),
    event="default",
    # the instalment due is planned, yet it counts as observed: rows that end with a default would reveal it
    observed=("days_late", "utilisation", "balance", "due", "unemployment", "rate"),
    statics=("segment", "region"),
    static_numbers=("score", "limit"),
)


@dataclass(frozen=True, eq=False)
class LoanBook:
    """table: long, with the roles `columns`. truth: borrower, month, pd, outcome of each row that is not a default.

    pd: probability, given all that is in the table up to the month, of a default within the next `horizon` months.
    outcome: whether it came; NaN where the book ends before the horizon does, however it went until then.
    """

    table: pd.DataFrame
    truth: pd.DataFrame
    columns: Columns
    horizon: int


@dataclass(frozen=True, eq=False)
class Economy:
    """States of the economy. unemployment_M, rate_M: in standard deviations. step_MM: monthly transition."""

    unemployment_M: np.ndarray
    rate_M: np.ndarray
    step_MM: np.ndarray
    start_M: np.ndarray


@dataclass(frozen=True, eq=False)
class Rates:
    """Monthly probabilities by borrower, state of the economy and repayment state.

    worse_NMS: one step later, or default. cured_NMS: current again, if it did not get worse. closed: paid off, of
    borrowers that are current and did not get worse.
    """

    worse_NMS: np.ndarray
    cured_NMS: np.ndarray
    closed: float = 0.01


def generate_loan_book(
    borrowers: int = 10_000, months: int = 36, horizon: int = 12, seed: int = 0
) -> LoanBook:
    """Draw a loan book; the same seed gives the same bytes.

    Borrowers join in the first half of the time, repay, fall behind, recover, close or default; a default ends the
    series. Over all economies 4 % of those that are current default within a year. Raises ValueError for numbers
    below 1.
    """
    if min(borrowers, months, horizon) < 1:
        raise ValueError(
            f"wanted 1 or more of each, got {borrowers} borrowers, {months} months, horizon {horizon}"
        )
    draw = np.random.default_rng(seed)
    economy = build_economy()
    segment_N = draw.choice(len(SEGMENTS), size=borrowers, p=(0.2, 0.5, 0.3))
    score_N = draw.normal(size=borrowers)
    rates = build_rates(score_N, segment_N, economy)
    economy_T = _economy_path(economy, months, draw)
    state_TN = _repayment_paths(rates, economy_T, borrowers, draw)
    true_NMS = true_pd(rates, economy, horizon)
    month_T = pd.date_range("2015-01-31", periods=months, freq="ME").to_numpy().astype("datetime64[us]")
    row_N, row_T = _rows(state_TN)
    state_R, economy_R = state_TN[row_T, row_N], economy_T[row_T]
    limit_N = np.round(np.exp(draw.normal(9.0, 0.6, size=borrowers)), 2)
    noise_R = draw.normal(scale=0.08, size=len(row_N))
    used_R = np.clip(0.35 + 0.15 * state_R - 0.08 * score_N[row_N] + noise_R, 0.0, 1.2)
    names_N = np.array([f"B{number:06d}" for number in range(1, borrowers + 1)], dtype=object)
    due_R = limit_N[row_N] / 36 * np.where(row_T % 12 == 11, 2.0, 1.0)  # twice as much in December
    table = pd.DataFrame(
        {
            "borrower": names_N[row_N],
            "month": month_T[row_T],
            "default": (state_R == DEFAULTED).astype(np.float64),
            "days_late": 30.0 * state_R,
            "utilisation": used_R,
            "balance": used_R * limit_N[row_N],
            "unemployment": 5.0 + 1.2 * economy.unemployment_M[economy_R],
            "rate": 2.5 + 1.0 * economy.rate_M[economy_R],
            "due": due_R,
            "segment": np.array(SEGMENTS, dtype=object)[segment_N[row_N]],
            "region": np.array(REGIONS, dtype=object)[draw.integers(len(REGIONS), size=borrowers)[row_N]],
            "score": score_N[row_N],
            "limit": limit_N[row_N],
        }
    )
    at_risk_R = state_R < _ACTIVE
    outcome_TN = _outcomes(state_TN, horizon)
    truth = pd.DataFrame(
        {
            "borrower": table["borrower"],
            "month": table["month"],
            "pd": true_NMS[row_N, economy_R, np.minimum(state_R, _ACTIVE - 1)],
            "outcome": outcome_TN[row_T, row_N],
        }
    )
    return LoanBook(table, truth[at_risk_R].reset_index(drop=True), COLUMNS, horizon)


def build_economy() -> Economy:
    """Return the chain of both factors together, started from its long-run distribution."""
    values, steps, starts = zip(*(_rouwenhorst(_FACTOR_STATES, rho) for rho in _PERSISTENCE), strict=True)
    return Economy(
        unemployment_M=np.repeat(values[0], _FACTOR_STATES),
        rate_M=np.tile(values[1], _FACTOR_STATES),
        step_MM=np.kron(steps[0], steps[1]),
        start_M=np.kron(starts[0], starts[1]),
    )


def build_rates(score_N: np.ndarray, segment_N: np.ndarray, economy: Economy) -> Rates:
    """Return how likely each borrower gets worse or recovers, in each state of the economy."""
    hit_N = np.array([0.5, 0.35, 0.2])[segment_N]  # business suffers most from unemployment
    level_N = np.array([0.1, 0.2, -0.3])[segment_N]
    stress_NM = hit_N[:, None] * economy.unemployment_M + 0.15 * economy.rate_M
    worse_S, cured_S = np.array([-4.9, -1.3, -0.4]), np.array([0.0, -0.2, -1.2])
    worse_NM = (level_N - 0.7 * score_N)[:, None] + stress_NM
    cured_NM = (0.3 * score_N)[:, None] - 0.5 * stress_NM
    return Rates(_logistic(worse_NM[..., None] + worse_S), _logistic(cured_NM[..., None] + cured_S))


def true_pd(rates: Rates, economy: Economy, horizon: int) -> np.ndarray:
    """Return the probability of a default within `horizon` months from each state, (N, M, S).

    Backwards in time: what may happen in one month, times what may follow in the rest of them.
    """
    worse_NMS, cured_NMS = rates.worse_NMS, (1.0 - rates.worse_NMS) * rates.cured_NMS
    later_NMS = np.zeros_like(worse_NMS)
    for _ in range(horizon):
        next_NMS = np.einsum("mk,nks->nms", economy.step_MM, later_NMS, optimize=True)
        stay_NMS = 1.0 - worse_NMS - cured_NMS
        stay_NMS[..., CURRENT] = (1.0 - worse_NMS[..., CURRENT]) * (1.0 - rates.closed)
        later_NMS = stay_NMS * next_NMS
        later_NMS[..., :LATE_60] += worse_NMS[..., :LATE_60] * next_NMS[..., LATE_30:]
        later_NMS[..., LATE_60] += worse_NMS[..., LATE_60]
        later_NMS[..., LATE_30:] += cured_NMS[..., LATE_30:] * next_NMS[..., CURRENT, None]
    return later_NMS


def _rouwenhorst(states: int, persistence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values of variance 1, monthly transition, and long-run distribution of a chain like an AR(1)."""
    stay = (1.0 + persistence) / 2.0
    step = np.array([[stay, 1.0 - stay], [1.0 - stay, stay]])
    start = np.array([0.5, 0.5])
    for size in range(2, states):
        wider = np.zeros((size + 1, size + 1))
        wider[:-1, :-1] += stay * step
        wider[:-1, 1:] += (1.0 - stay) * step
        wider[1:, :-1] += (1.0 - stay) * step
        wider[1:, 1:] += stay * step
        wider[1:-1] /= 2.0
        step = wider
        start = np.convolve(start, [0.5, 0.5])
    return np.linspace(-1.0, 1.0, states) * np.sqrt(states - 1.0), step, start


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _economy_path(economy: Economy, months: int, draw: np.random.Generator) -> np.ndarray:
    path_T = np.empty(months, dtype=np.int64)
    path_T[0] = draw.choice(len(economy.start_M), p=economy.start_M)
    for month in range(1, months):
        path_T[month] = draw.choice(len(economy.start_M), p=economy.step_MM[path_T[month - 1]])
    return path_T


def _repayment_paths(
    rates: Rates, economy_T: np.ndarray, borrowers: int, draw: np.random.Generator
) -> np.ndarray:
    """Return the repayment state of each month and borrower, (T, N) int8."""
    months = len(economy_T)
    join_N = np.where(draw.random(borrowers) < 0.6, 0, draw.integers(0, (months + 1) // 2, size=borrowers))
    first_N = draw.choice(_ACTIVE, size=borrowers, p=(0.93, 0.05, 0.02)).astype(np.int8)
    state_TN = np.full((months, borrowers), NOT_YET, dtype=np.int8)
    state_TN[0] = np.where(join_N == 0, first_N, NOT_YET)
    everyone = np.arange(borrowers)
    for month in range(1, months):
        old_N = state_TN[month - 1]
        at_risk_N = (old_N >= CURRENT) & (old_N < _ACTIVE)
        state_N = np.where(at_risk_N, old_N, CURRENT)
        worse_N = rates.worse_NMS[everyone, economy_T[month - 1], state_N]
        cured_N = rates.cured_NMS[everyone, economy_T[month - 1], state_N]
        got_worse_N = draw.random(borrowers) < worse_N
        leave_N = np.where(state_N == CURRENT, rates.closed, cured_N)
        left_N = draw.random(borrowers) < leave_N
        better_N = np.where(state_N == CURRENT, CLOSED, CURRENT)
        new_N = np.where(got_worse_N, state_N + 1, np.where(left_N, better_N, state_N))
        new_N = np.where(at_risk_N, new_N, old_N)
        state_TN[month] = np.where(join_N == month, first_N, new_N)
    return state_TN


def _rows(state_TN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return borrower and month of each row: all months at risk, and the month of a default."""
    defaulted_TN = state_TN == DEFAULTED
    defaulted_TN[1:] &= state_TN[:-1] != DEFAULTED
    at_risk_TN = (state_TN >= CURRENT) & (state_TN < _ACTIVE)
    row_N, row_T = np.nonzero((at_risk_TN | defaulted_TN).T)
    return row_N, row_T


def _outcomes(state_TN: np.ndarray, horizon: int) -> np.ndarray:
    """Return whether a default comes within the horizon, (T, N); NaN where the book ends before."""
    outcome_TN = np.full(state_TN.shape, np.nan)
    if horizon < len(state_TN):
        outcome_TN[:-horizon] = state_TN[horizon:] == DEFAULTED
    return outcome_TN
