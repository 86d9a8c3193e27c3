"""The plain twin of apps/risk/metrics/coverage_tests.py: one day after the other, every row of hits written out.

Probabilities are fractions, so only the likelihoods' logarithms are rounded.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction


def _log(misses: int, hits: int, p: Fraction) -> float:
    total = 0.0
    if misses:
        total += misses * math.log(1 - p)
    if hits:
        total += hits * math.log(p)
    return total


def _share(hits: int, misses: int) -> Fraction:
    return Fraction(hits, hits + misses) if hits + misses else Fraction(0)


def proportion_of_failures(hits: tuple[int, ...], level: Fraction) -> float:
    """Return Kupiec's likelihood ratio."""
    x, n = sum(hits), len(hits)
    return 2 * (_log(n - x, x, Fraction(x, n)) - _log(n - x, x, level))


def steps(hits: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Return how often each state followed each."""
    counts = {(a, b): 0 for a in (0, 1) for b in (0, 1)}
    for pair in itertools.pairwise(hits):
        counts[pair] += 1
    return counts


def independence(hits: tuple[int, ...]) -> float:
    """Return Christoffersen's likelihood ratio of independence."""
    n = steps(hits)
    after_calm, after_hit = _share(n[0, 1], n[0, 0]), _share(n[1, 1], n[1, 0])
    pooled = _share(n[0, 1] + n[1, 1], n[0, 0] + n[1, 0])
    chained = _log(n[0, 0], n[0, 1], after_calm) + _log(n[1, 0], n[1, 1], after_hit)
    return 2 * (chained - _log(n[0, 0] + n[1, 0], n[0, 1] + n[1, 1], pooled))


def rows(days: int) -> list[tuple[int, ...]]:
    """Return all rows of hits."""
    return list(itertools.product((0, 1), repeat=days))


def probability(hits: tuple[int, ...], level: Fraction) -> Fraction:
    """Return how likely a row is under independent hits."""
    return Fraction(math.prod(level if hit else 1 - level for hit in hits))


def kupiec_p(hits: tuple[int, ...], level: Fraction) -> Fraction:
    """Return the probability of a likelihood ratio as large."""
    bar = proportion_of_failures(hits, level) - 1e-9
    days = len(hits)
    return sum(
        (probability(row, level) for row in rows(days) if proportion_of_failures(row, level) >= bar),
        Fraction(0),
    )


def independence_p(hits: tuple[int, ...]) -> Fraction:
    """Return the share, among rows with as many hits, of those with a likelihood ratio as large."""
    bar = independence(hits) - 1e-9
    alike = [row for row in rows(len(hits)) if sum(row) == sum(hits)]
    return Fraction(sum(1 for row in alike if independence(row) >= bar), len(alike))


def conditional_coverage_p(hits: tuple[int, ...], level: Fraction) -> Fraction:
    """Return the probability of a sum of both ratios as large."""

    def both(row: tuple[int, ...]) -> float:
        return proportion_of_failures(row, level) + independence(row)

    bar = both(hits) - 1e-9
    return sum((probability(row, level) for row in rows(len(hits)) if both(row) >= bar), Fraction(0))
