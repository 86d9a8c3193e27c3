"""The plain twin of apps/risk/metrics/credit.py: every pair, every order of equal scores, in fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction


def auroc(scores: list[int], defaults: list[int]) -> Fraction:
    """Return the share of pairs ranked right, equal ones half."""
    bad = [s for s, d in zip(scores, defaults, strict=True) if d]
    good = [s for s, d in zip(scores, defaults, strict=True) if not d]
    won = sum(Fraction(1) if b > g else Fraction(1, 2) if b == g else Fraction(0) for b in bad for g in good)
    return Fraction(won) / (len(bad) * len(good))


def kolmogorov_smirnov(scores: list[int], defaults: list[int]) -> Fraction:
    """Return the largest distance of the two empirical distribution functions."""
    bad = [s for s, d in zip(scores, defaults, strict=True) if d]
    good = [s for s, d in zip(scores, defaults, strict=True) if not d]

    def below(group: list[int], bar: int) -> Fraction:
        return Fraction(sum(1 for s in group if s <= bar), len(group))

    return max(abs(below(bad, bar) - below(good, bar)) for bar in scores)


def capture(scores: list[int], defaults: list[int], alerts: int) -> Fraction:
    """Return the mean, over all orders that rank equal scores at will, of defaults among the first alerts."""
    clients = range(len(scores))
    shares: list[Fraction] = []
    for order in itertools.permutations(clients):
        ranked = [scores[i] for i in order]
        if ranked == sorted(scores, reverse=True):
            shares.append(Fraction(sum(defaults[i] for i in order[:alerts]), sum(defaults)))
    return sum(shares, Fraction(0)) / len(shares)


def calibration_error(percent: list[int], defaults: list[int], bins: int) -> Fraction:
    """Return ECE with PD in whole percent; a client's bin is that of the middle rank of its PD."""
    n = len(percent)
    members: dict[int, list[int]] = {}
    for i in range(n):
        safer = sum(1 for p in percent if p < percent[i])
        alike = sum(1 for p in percent if p == percent[i])
        middle = (Fraction(safer) + Fraction(alike, 2)) / n
        members.setdefault(min(int(middle * bins), bins - 1), []).append(i)
    return sum(
        (abs(sum(Fraction(percent[i], 100) - defaults[i] for i in rows)) / n for rows in members.values()),
        Fraction(0),
    )
