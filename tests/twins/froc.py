"""The plain twin of apps/nodule/metrics/froc.py: one loop a rule, in the published LUNA16 script's order.

Counts are fractions, so nothing here is rounded; roc_curve's part (scores in falling order, equal ones together)
and numpy.interp's part are written out.
"""

from __future__ import annotations

from fractions import Fraction

MISSED = -1e9
RATES = [Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2), Fraction(4), Fraction(8)]


def judge(marks: list, included: list, excluded: list, scans: int) -> list:
    """Return (scan, is_nodule, score, missed) rows; marks are (scan, x, y, z, score), the others (scan, x, y, z, d)."""
    rows = []
    for scan in range(scans):
        candidates = {i: m for i, m in enumerate(marks) if m[0] == scan}
        if len(candidates) > 100:
            threshold = sorted((m[4] for m in candidates.values()), reverse=True)[100]
            candidates = {i: m for i, m in candidates.items() if m[4] > threshold}
        left = dict(candidates)
        annotations = [(a, True) for a in included if a[0] == scan] + [
            (a, False) for a in excluded if a[0] == scan
        ]
        for annotation, counts in annotations:
            diameter = annotation[4] if annotation[4] >= 0 else 10.0
            hits = []
            for i, mark in candidates.items():
                squared = sum((annotation[axis] - mark[axis]) ** 2 for axis in (1, 2, 3))
                if squared < (diameter / 2) ** 2:
                    if counts:
                        hits.append(mark[4])
                    left.pop(i, None)
            if counts:
                rows.append((scan, True, max(hits) if hits else MISSED, not hits))
        rows.extend((scan, False, mark[4], False) for mark in left.values())
    return rows


def curve(rows: list, scans: int) -> tuple[list, list]:
    """Return exact false positives a scan and sensitivities, starting at (0, 0)."""
    nodules = sum(1 for row in rows if row[1])
    listed = [row for row in rows if not row[3]]
    rates, sensitivities = [Fraction(0)], [Fraction(0)]
    for score in sorted({row[2] for row in listed}, reverse=True):
        accepted = [row for row in listed if row[2] >= score]
        rates.append(Fraction(sum(1 for row in accepted if not row[1]), scans))
        sensitivities.append(Fraction(sum(1 for row in accepted if row[1]), nodules))
    return rates, sensitivities


def at(rate: Fraction, rates: list, sensitivities: list) -> Fraction:
    """Interpolate linearly; the last point at or left of `rate` is the left end."""
    j = max(i for i, r in enumerate(rates) if r <= rate)
    if j == len(rates) - 1:
        return sensitivities[-1]
    share = (rate - rates[j]) / (rates[j + 1] - rates[j])
    return sensitivities[j] + share * (sensitivities[j + 1] - sensitivities[j])


def seven(rows: list, scans: int) -> list[float]:
    """Return the sensitivities at LUNA16's seven rates."""
    return [float(at(rate, *curve(rows, scans))) for rate in RATES]


def resampled(rows: list, draws: list[int]) -> list:
    """Return the rows of the scans drawn, a scan as often as it was drawn."""
    return [row for scan in draws for row in rows if row[0] == scan]
