"""Shares of nodules found, by group, with intervals over their owners: patients or scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.nodule.metrics.froc import Matched
from apps.nodule.models.findings import Candidate
from core.statistics.bootstrap import bootstrap

DIAMETERS = {"< 5 mm": (0.0, 5.0), "5–10 mm": (5.0, 10.0), "> 10 mm": (10.0, np.inf), "≥ 5 mm": (5.0, np.inf)}
GRID = tuple(round(0.05 * i, 2) for i in range(1, 20))


def share(hit_K: np.ndarray, owner_K: Sequence[str], member_K: np.ndarray) -> dict[str, Any]:
    """Return count, found, sensitivity and its 95 % interval over resampled owners; null for an empty group."""
    hit = np.asarray(hit_K, dtype=bool)[member_K]
    if not len(hit):
        return {"count": 0, "found": 0, "sensitivity": None, "interval": None}
    _, number = np.unique(np.asarray(owner_K)[member_K], return_inverse=True)

    def statistic(weights: np.ndarray) -> np.ndarray:
        weight = weights[number]
        return np.array([np.dot(weight, hit) / weight.sum()])

    low, high = bootstrap(statistic, int(number.max()) + 1)[:, 0]
    return {
        "count": len(hit),
        "found": int(hit.sum()),
        "sensitivity": rounded(hit.mean()),
        "interval": [rounded(low), rounded(high)],
    }


def shares(
    hit_K: np.ndarray, owner_K: Sequence[str], groups: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Return the share of each group, by name."""
    return {name: share(hit_K, owner_K, member) for name, member in groups.items()}


def by_diameter(diameter_K: np.ndarray) -> dict[str, np.ndarray]:
    """Return the members of each group of diameters (mm), and all."""
    groups = {name: (diameter_K >= low) & (diameter_K < high) for name, (low, high) in DIAMETERS.items()}
    return {**groups, "all": np.ones(len(diameter_K), dtype=bool)}


def by_word(word_K: Sequence[str], order: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the members of each word's group, in the order given."""
    return {word: np.array([w == word for w in word_K], dtype=bool) for word in order}


def table(
    matched: Matched, large_K: np.ndarray, thresholds: Sequence[float] = GRID
) -> list[dict[str, float | None]]:
    """Return, by threshold, sensitivity of all and of the large nodules, and false positives a scan."""
    return [
        {
            "threshold": t,
            "all": _mean(matched.nodule_score_K >= t),
            "large": _mean(matched.nodule_score_K[large_K] >= t),
            "false_positives": rounded(np.sum(matched.false_score_M >= t) / matched.scans),
        }
        for t in thresholds
    ]


def centres_and_scores(candidates: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Return centres (N, 3) in mm and probabilities (N,)."""
    centres = np.array([c.centre_mm for c in candidates], dtype=float).reshape(-1, 3)
    return centres, np.array([c.probability for c in candidates], dtype=float)


def rounded(value: float) -> float:
    """Round to four digits after the point."""
    return round(float(value), 4)


def _mean(hit: np.ndarray) -> float | None:
    return rounded(hit.mean()) if len(hit) else None
