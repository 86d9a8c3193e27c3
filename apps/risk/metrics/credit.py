"""Ranking and calibration of default probabilities, exact with ties.

Legend: N clients, K bins, F figures. score_N: any finite number, higher is riskier; pd_N: probability of default,
0..1; default_N: 1 defaulted, 0 did not; weight_N: how often each client counts, so that core.statistics.bootstrap gives
intervals over clients, None counts each once.
Missing values: a client whose outcome is unknown (NaN) is left out; a missing score of a client whose outcome
counts raises ValueError, as do infinities, shapes that differ and a set without an outcome (checks.counted).
A figure that needs both outcomes is NaN where one of them has no weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from apps.risk.metrics.checks import check_at_least, check_share, check_weights, counted
from core.statistics.bootstrap import CONFIDENCE, SAMPLES, bootstrap

BINS = 10
ALERT_SHARE = 0.10
FIGURES = ("auroc", "gini", "ks", "brier", "ece", "capture")


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """Predicted beside observed, a bin of clients of like PD a row, from safe to risky; empty bins are left out.

    clients_K: number; mean_pd_K: predicted share; default_rate_K: observed share;
    interval_2K: Jeffreys bounds of the true default rate given what was observed.
    """

    clients_K: np.ndarray
    mean_pd_K: np.ndarray
    default_rate_K: np.ndarray
    interval_2K: np.ndarray


@dataclass(frozen=True)
class Figure:
    """A figure with its bootstrap interval over clients."""

    value: float
    lower: float
    upper: float


def capture(
    score_N: np.ndarray,
    default_N: np.ndarray,
    weight_N: np.ndarray | None = None,
    alert_share: float = ALERT_SHARE,
) -> float:
    """Return the share of defaults among the riskiest clients: recall at an alert budget.

    alert_share: alerts by clients, 0..1; for a fixed number of alerts give alerts / N. Where the budget ends among
    equal scores (or within a client) they count in proportion: the mean over all orders of the equal ones.
    Source: the capture rate or cumulative accuracy profile, Sobehart, Keenan & Stein 2000, "Benchmarking
    quantitative default risk models", Moody's. NaN without a default. Raises ValueError for an alert_share outside
    0..1, and for scores or outcomes as the module says.
    """
    return _captured(*_groups(*_prepared(score_N, default_N, weight_N)), alert_share)


def calibration_table(
    pd_N: np.ndarray, default_N: np.ndarray, bins: int = BINS, confidence: float = CONFIDENCE
) -> CalibrationTable:
    """Return predicted beside observed default rates over bins of equal mass, binned as ECE bins.

    The interval is Jeffreys', as in the ECB's "Instructions for reporting the validation results of internal
    models" (February 2019), PD calibration: quantiles of Beta(D + 1/2, n - D + 1/2).
    Raises ValueError for a PD outside 0..1, bins below 1 and a confidence outside 0..1.
    """
    check_share("confidence", confidence)
    clients_K, pd_K, default_K = _bin_sums(*_prepared(pd_N, default_N, None), bins)
    filled = clients_K > 0.0
    clients_K, pd_K, default_K = clients_K[filled], pd_K[filled], default_K[filled]
    tails = np.array([[0.5 - confidence / 2.0], [0.5 + confidence / 2.0]])
    return CalibrationTable(
        clients_K=clients_K.astype(np.int64),
        mean_pd_K=pd_K / clients_K,
        default_rate_K=default_K / clients_K,
        interval_2K=beta.ppf(tails, default_K + 0.5, clients_K - default_K + 0.5),
    )


def credit_figures(
    pd_N: np.ndarray,
    default_N: np.ndarray,
    weight_N: np.ndarray | None = None,
    alert_share: float = ALERT_SHARE,
) -> np.ndarray:
    """Return all figures, (F,), in the order of FIGURES, each NaN where it is undefined.

    auroc: the chance that a client who defaulted has a higher PD than one who did not, equal ones counting half
    (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747). gini: the accuracy ratio, 2 AUROC - 1: 1 for a perfect
    ranking, 0 for none (Engelmann, Hayden & Tasche 2003, "Testing rating accuracy", Risk 16(1), 82-86). ks: the largest
    distance between the PD's distribution functions of the two outcomes (Thomas, Edelman & Crook 2002, "Credit scoring
    and its applications", doi:10.1137/1.9780898718317). brier: the mean squared error, 0 is perfect (Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2). ece: the mean distance of predicted and observed share over
    BINS bins of equal mass, by clients (Naeini, Cooper & Hauskrecht 2015, doi:10.1609/aaai.v29i1.9602; bins of equal
    mass after Nguyen & O'Connor 2015, arXiv:1508.05154); clients of one PD stay in one bin, that of their middle rank.
    capture: as `capture` returns it. Raises ValueError for a PD outside 0..1 and for what `capture` refuses.
    """
    clients = _prepared(pd_N, default_N, weight_N)
    groups = _groups(*clients)
    area = _area(*groups)
    return np.array(
        [
            area,
            2.0 * area - 1.0,
            _distance(*groups),
            _squared_error(*clients),
            _calibration_error(*clients),
            _captured(*groups, alert_share),
        ]
    )


def credit_figures_with_intervals(
    pd_N: np.ndarray,
    default_N: np.ndarray,
    alert_share: float = ALERT_SHARE,
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Figure]:
    """Return each figure of FIGURES with its percentile interval over resampled clients.

    Resamples in which a figure is undefined are left out of its interval.
    """
    known = counted(default_N.astype(np.float64), pd_N=pd_N)
    order = np.argsort(pd_N[known], kind="stable")  # sorted once: each resample then sorts what is in order
    pd_N, default_N = pd_N[known][order], default_N[known][order]
    value_F = credit_figures(pd_N, default_N, None, alert_share)
    lower_F, upper_F = bootstrap(
        lambda weight_N: credit_figures(pd_N, default_N, weight_N, alert_share),
        len(pd_N),
        samples,
        seed,
        confidence,
    )
    return {
        name: Figure(float(value), float(lower), float(upper))
        for name, value, lower, upper in zip(FIGURES, value_F, lower_F, upper_F, strict=True)
    }


def _prepared(
    score_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, outcomes and weights, float64, of the clients that count."""
    if score_N.ndim != 1:
        raise ValueError(f"scores have shape {score_N.shape}, wanted one row of clients")
    default_N = default_N.astype(np.float64)
    known = counted(default_N, score_N=score_N)
    if not np.all((default_N[known] == 0.0) | (default_N[known] == 1.0)):
        raise ValueError("a default is neither 0 nor 1, wanted 1 defaulted, 0 did not, NaN not known yet")
    weight_N = check_weights(weight_N, len(score_N))
    return score_N[known].astype(np.float64), default_N[known], weight_N[known]


def _check_probabilities(pd_N: np.ndarray) -> None:
    outside = int(np.sum((pd_N < 0.0) | (pd_N > 1.0)))
    if outside:
        raise ValueError(f"pd lies outside 0..1 {outside} times, wanted probabilities")


def _groups(
    score_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of defaults and of others for each distinct score, rising."""
    order = np.argsort(score_N, kind="stable")
    score_N, default_N, weight_N = score_N[order], default_N[order], weight_N[order]
    first_G = np.flatnonzero(np.append(True, score_N[1:] != score_N[:-1]))
    return (
        np.add.reduceat(weight_N * default_N, first_G),
        np.add.reduceat(weight_N * (1.0 - default_N), first_G),
    )


def _area(defaults_G: np.ndarray, others_G: np.ndarray) -> float:
    below_G = np.cumsum(others_G) - 0.5 * others_G
    return _ratio(float(defaults_G @ below_G), float(defaults_G.sum() * others_G.sum()))


def _distance(defaults_G: np.ndarray, others_G: np.ndarray) -> float:
    if defaults_G.sum() == 0.0 or others_G.sum() == 0.0:
        return float("nan")
    distance_G = np.cumsum(others_G) / others_G.sum() - np.cumsum(defaults_G) / defaults_G.sum()
    return float(np.abs(distance_G).max())


def _captured(defaults_G: np.ndarray, others_G: np.ndarray, alert_share: float) -> float:
    check_share("alert_share", alert_share)
    clients_G = (defaults_G + others_G)[::-1]
    budget = alert_share * clients_G.sum()
    before_G = np.cumsum(clients_G) - clients_G
    share_G = np.clip((budget - before_G) / np.where(clients_G > 0.0, clients_G, 1.0), 0.0, 1.0)
    return _ratio(float(defaults_G[::-1] @ share_G), float(defaults_G.sum()))


def _squared_error(pd_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray) -> float:
    _check_probabilities(pd_N)
    return _ratio(float(weight_N @ (pd_N - default_N) ** 2), float(weight_N.sum()))


def _calibration_error(pd_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray) -> float:
    weight_K, pd_K, default_K = _bin_sums(pd_N, default_N, weight_N, BINS)
    return _ratio(float(np.abs(pd_K - default_K).sum()), float(weight_K.sum()))


def _bin_sums(
    pd_N: np.ndarray, default_N: np.ndarray, weight_N: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weight, weighted PD and weighted defaults of each bin, (K,) each, 0 where a bin is empty."""
    check_at_least("bins", bins, 1)
    _check_probabilities(pd_N)
    order = np.argsort(pd_N, kind="stable")
    pd_N, default_N, weight_N = pd_N[order], default_N[order], weight_N[order]
    first_G = np.flatnonzero(np.append(True, pd_N[1:] != pd_N[:-1]))
    weight_G = np.add.reduceat(weight_N, first_G)
    total = float(weight_G.sum()) or 1.0
    # twice the middle rank over twice the total: whole numbers until the one division, so no edge is rounded
    twice_middle_G = 2.0 * np.cumsum(weight_G) - weight_G
    bin_G = np.minimum(np.floor(twice_middle_G * bins / (2.0 * total)), bins - 1).astype(np.int64)
    bin_N = np.repeat(bin_G, np.diff(np.append(first_G, len(pd_N))))
    return (
        np.bincount(bin_N, weight_N, bins),
        np.bincount(bin_N, weight_N * pd_N, bins),
        np.bincount(bin_N, weight_N * default_N, bins),
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else float("nan")
