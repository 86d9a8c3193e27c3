"""Has a feature's distribution moved since the model was built: the population stability index (PSI).

Source: Siddiqi 2006, "Credit risk scorecards", and for its law Yurdakul & Naranjo 2020,
doi:10.21314/JRMV.2020.227. PSI = sum over bins of (current - reference) ln(current / reference), of shares.
Smoothing: half an observation is added to each bin of either side, so that an empty bin has a finite share.
Missing is a bin of its own where either side has missing values. By custom below 0.1 is stable, above 0.25 moved;
without a move the index is about (K - 1) (1/N + 1/M).
Legend: N reference values, M current values, K bins.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from apps.risk.metrics.checks import check_at_least, check_not_infinite

BINS = 10
MISSING = "missing"
_SMOOTHING = 0.5


@dataclass(frozen=True, eq=False)
class StabilityIndex:
    """One feature's index, with the bins it is the sum over.

    psi: 0 or more. bins: a label each, missing last. reference_share_K, current_share_K: smoothed, each adds to 1.
    part_K: what each bin adds to the index.
    """

    psi: float
    bins: tuple[str, ...]
    reference_share_K: np.ndarray
    current_share_K: np.ndarray
    part_K: np.ndarray


def numeric_stability(reference_N: np.ndarray, current_M: np.ndarray, bins: int = BINS) -> StabilityIndex:
    """Return the index of a numeric feature over quantile bins of the reference.

    bins: at most; values shared by many (ties) fall in one bin and make fewer. A reference that piles up at its
    least value has a bin below it, so that values never seen there are distinguished. NaN is missing.
    Raises ValueError for infinities, a side without values, a reference that is missing throughout, bins < 2.
    """
    check_at_least("bins", bins, 2)
    _check_sides(reference_N, current_M)
    check_not_infinite(reference_N=reference_N, current_M=current_M)
    known_N = np.sort(reference_N[~np.isnan(reference_N)].astype(np.float64))
    if len(known_N) == 0:
        raise ValueError(f"the reference is missing in all {len(reference_N)} values, wanted known ones")
    edges = np.unique(np.quantile(known_N, np.arange(1, bins) / bins, method="inverted_cdf"))
    if edges[0] == known_N[0]:
        edges = np.append(np.nextafter(edges[0], -np.inf), edges)
    labels = [f"≤ {edges[0]:.6g}", *(f"≤ {edge:.6g}" for edge in edges[1:]), f"> {edges[-1]:.6g}"]
    return _index(_numeric_counts(reference_N, edges), _numeric_counts(current_M, edges), labels)


def categorical_stability(reference_N: np.ndarray, current_M: np.ndarray) -> StabilityIndex:
    """Return the index of a categorical feature: a bin for each category of either side.

    Categories new to the current side count. None and NaN are missing.
    Raises ValueError for a side without values.
    """
    _check_sides(reference_N, current_M)
    reference, current = _category_counts(reference_N), _category_counts(current_M)
    names = sorted({*reference, *current} - {None}, key=str)
    sides = [
        np.array([*(side.get(name, 0) for name in names), side.get(None, 0)], dtype=np.float64)
        for side in (reference, current)
    ]
    return _index(sides[0], sides[1], [str(name) for name in names])


def _check_sides(reference_N: np.ndarray, current_M: np.ndarray) -> None:
    for name, side in (("reference_N", reference_N), ("current_M", current_M)):
        if side.ndim != 1 or len(side) == 0:
            raise ValueError(f"{name} has shape {side.shape}, wanted one row of values, one at least")


def _numeric_counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return numbers in (−∞, e0], (e0, e1], …, (e last, ∞), and of missing values."""
    missing = np.isnan(values)
    index = np.searchsorted(edges, values[~missing], side="left")
    return np.append(np.bincount(index, minlength=len(edges) + 1), missing.sum()).astype(np.float64)


def _category_counts(values: np.ndarray) -> dict[Hashable, int]:
    """Return how often each category occurs, missing ones under None."""
    counts: dict[Hashable, int] = {}
    for value in values.tolist():
        key = None if value is None or value != value else value
        counts[key] = counts.get(key, 0) + 1
    return counts


def _index(reference: np.ndarray, current: np.ndarray, labels: list[str]) -> StabilityIndex:
    """Compare counts whose last bin is missing; that bin goes where neither side has any."""
    if reference[-1] + current[-1] > 0:
        labels = [*labels, MISSING]
    else:
        reference, current = reference[:-1], current[:-1]
    reference_share = (reference + _SMOOTHING) / (reference.sum() + _SMOOTHING * len(reference))
    current_share = (current + _SMOOTHING) / (current.sum() + _SMOOTHING * len(current))
    part_K = (current_share - reference_share) * np.log(current_share / reference_share)
    return StabilityIndex(float(part_K.sum()), tuple(labels), reference_share, current_share, part_K)
