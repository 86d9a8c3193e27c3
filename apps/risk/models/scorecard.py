"""Logistic scorecard: each feature in bins, each bin its points of log-odds, and the reasons of each client.

The classic of credit scoring (Siddiqi 2006, Credit Risk Scorecards, ISBN 978-0-471-75451-0; Thomas, Edelman & Crook
2002, doi:10.1137/1.9780898718317). Missing is a bin of its own, not a value to guess. Only what is handed in is seen.
Legend: N clients, F features, K bins of a feature, the last one for missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from apps.risk.models.forecast import EventForecast, Reason
from apps.risk.reasons import INPUTS

BINS = 10
REASONS = (
    4  # as many as notices of adverse action name (US Regulation B, 12 CFR 1002.9, official interpretation)
)


@dataclass(frozen=True, eq=False)
class Scorecard:
    """The fitted card.

    edges: of each feature the upper bounds of its bins but the last, rising. points: of each feature the log-odds
    of its bins, missing last. reference_F: mean points of the clients that it was fitted on. intercept: log-odds.
    """

    names: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    points: tuple[np.ndarray, ...]
    reference_F: np.ndarray
    intercept: float

    def points_NF(self, x_NF: np.ndarray) -> np.ndarray:
        """Return the points of each feature, (N, F) log-odds; with the intercept they add up to the client's.

        Values beyond those seen, infinities too, count as the outermost bin.
        """
        _check_features(x_NF, len(self.names))
        columns = [
            points_K[_bin(x_NF[:, f], edge_K)]
            for f, (edge_K, points_K) in enumerate(zip(self.edges, self.points, strict=True))
        ]
        return np.stack(columns, axis=1)

    def forecast(self, x_NF: np.ndarray) -> EventForecast:
        """Return the event's probability of N clients; reason all_missing where a client has no value at all."""
        pd_N = expit(self.intercept + self.points_NF(x_NF).sum(axis=1))
        return EventForecast(pd_N, blank_reasons(x_NF))

    def reasons(self, x_NF: np.ndarray, most: int = REASONS) -> tuple[tuple[Reason, ...], ...]:
        """Return of each client the features that raise its log-odds most above the reference, largest first.

        Only what raises counts: there may be fewer than `most`, or none. Equal ones stand in the order of features.
        """
        above_NF = self.points_NF(x_NF) - self.reference_F
        order_NF = np.argsort(-above_NF, axis=1, kind="stable")[:, :most]
        return tuple(
            tuple(Reason(self.names[f], float(above_F[f])) for f in order_F if above_F[f] > 0.0)
            for above_F, order_F in zip(above_NF, order_NF, strict=True)
        )


def fit_scorecard(
    x_NF: np.ndarray, event_N: np.ndarray, names: Sequence[str], bins: int = BINS, strength: float = 1.0
) -> Scorecard:
    """Fit a card by penalised maximum likelihood (scikit-learn); deterministic.

    event_N: 1 happened, 0 did not, NaN not known yet and left out. bins: of equal mass by the quantiles of the known
    values; a feature of at most `bins` different values has one bin for each. strength: inverse of the ridge
    penalty on the points, 1 as scikit-learn has it. A feature that was never missing gives a missing value the
    points of the average client. Raises InputError where the event always or never happened, ValueError for shapes.
    """
    x_NF, event_N = known_events(x_NF, event_N)
    _check_features(x_NF, len(names))
    edges = tuple(_edges(x_N, bins) for x_N in x_NF.T)
    bin_NF = np.stack([_bin(x_N, edge_K) for x_N, edge_K in zip(x_NF.T, edges, strict=True)], axis=1)
    size_F = np.array([len(edge_K) + 2 for edge_K in edges])
    first_F = np.append(0, np.cumsum(size_F))
    shape = (len(x_NF), int(first_F[-1]))
    row = np.arange(0, bin_NF.size + 1, bin_NF.shape[1])
    hot = csr_matrix((np.ones(bin_NF.size), (bin_NF + first_F[:-1]).ravel(), row), shape=shape)
    model = LogisticRegression(C=strength, max_iter=5000, tol=1e-6).fit(hot, event_N)
    points, reference = [], []
    for f, start in enumerate(first_F[:-1]):
        points_K = model.coef_[0, start : start + size_F[f]].copy()
        mean = float(points_K[bin_NF[:, f]].mean())
        if not np.any(bin_NF[:, f] == size_F[f] - 1):
            points_K[-1] = mean
        points.append(points_K)
        reference.append(mean)
    return Scorecard(tuple(names), edges, tuple(points), np.array(reference), float(model.intercept_[0]))


def known_events(x_NF: np.ndarray, event_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the clients whose event is known, their events as int64.

    Raises ValueError for shapes and events other than 0, 1 and NaN, InputError where all events are the same.
    """
    if x_NF.ndim != 2 or event_N.shape != (len(x_NF),):
        raise ValueError(f"features have shape {x_NF.shape}, events {event_N.shape}, wanted (N, F) and (N,)")
    event_N = event_N.astype(np.float64)
    known_N = ~np.isnan(event_N)
    if not np.isin(event_N[known_N], (0.0, 1.0)).all():
        raise ValueError("an event is neither 0 nor 1, wanted 1 happened, 0 did not, NaN not known yet")
    happened = int(event_N[known_N].sum())
    if happened in (0, int(known_N.sum())):
        raise INPUTS("event_one_sided", happened=happened, clients=int(known_N.sum()))
    return x_NF[known_N].astype(np.float64), event_N[known_N].astype(np.int64)


def blank_reasons(x_NF: np.ndarray) -> tuple[str, ...]:
    """Return of each client '' or all_missing."""
    return tuple("all_missing" if blank else "" for blank in np.isnan(x_NF).all(axis=1))


def _edges(x_N: np.ndarray, bins: int) -> np.ndarray:
    """Return upper bounds of all bins but the last; none for a feature that is constant or never known."""
    known = np.sort(x_N[~np.isnan(x_N)])
    distinct = np.unique(known)
    if len(distinct) <= bins:
        return distinct[:-1]
    rank = np.ceil(np.arange(1, bins) * (len(known) / bins)).astype(np.int64) - 1
    edge_K = np.unique(known[rank])
    return edge_K[edge_K < distinct[-1]]


def _bin(x_N: np.ndarray, edge_K: np.ndarray) -> np.ndarray:
    """Return the bin of each value: how many bounds lie below it; one more than all for missing."""
    return np.where(np.isnan(x_N), len(edge_K) + 1, np.searchsorted(edge_K, x_N, side="left"))


def _check_features(x_NF: np.ndarray, features: int) -> None:
    if x_NF.ndim != 2 or x_NF.shape[1] != features or not features:
        raise ValueError(f"features have shape {x_NF.shape}, wanted (clients, {features}), one or more")
