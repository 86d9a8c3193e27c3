"""FROC, its seven sensitivities and CPM by LUNA16's rules; arrays only, no files.

Source: Setio et al. 2017, doi:10.1016/j.media.2017.06.015, and the challenge's published evaluation script.
Legend: N marks, K nodules or excluded findings, M false positives, E entries (detected nodules and false
positives), T distinct scores, R rates, P points of the band, S scans; scans are numbers 0..S-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.statistics.bootstrap import SAMPLES, bootstrap

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MAX_MARKS = 100
UNKNOWN_DIAMETER_MM = 10.0


@dataclass(frozen=True, eq=False)
class Marks:
    """What a detector put down. scan_N: int; centre_N3: mm; score_N: any real number, higher is surer."""

    scan_N: np.ndarray
    centre_N3: np.ndarray
    score_N: np.ndarray


@dataclass(frozen=True, eq=False)
class Spheres:
    """Annotated nodules or excluded findings.

    scan_K: int; centre_K3: mm; diameter_K: mm, negative where nobody measured it.
    """

    scan_K: np.ndarray
    centre_K3: np.ndarray
    diameter_K: np.ndarray


@dataclass(frozen=True, eq=False)
class Matched:
    """Marks judged against annotations.

    nodule_scan_K, nodule_score_K: scan and best score of each nodule, -inf where it was missed.
    false_scan_M, false_score_M: the false positives.
    marks: those judged, at most 100 a scan; double_hits: marks beyond the first on a nodule;
    on_excluded: marks dropped because they lie on an excluded finding.
    """

    scans: int
    nodule_scan_K: np.ndarray
    nodule_score_K: np.ndarray
    false_scan_M: np.ndarray
    false_score_M: np.ndarray
    marks: int
    double_hits: int
    on_excluded: int

    @property
    def detected(self) -> int:
        """Nodules with at least one mark."""
        return int(np.sum(self.nodule_score_K > -np.inf))


@dataclass(frozen=True, eq=False)
class Froc:
    """The whole answer: curve, sensitivity at each rate, CPM, and 95 % intervals over resampled scans.

    rate_T, sensitivity_T, threshold_T: the curve from (0, 0) on. Sensitivities are NaN where no scan holds a
    nodule. interval_2R, cpm_interval: lower and upper bound; band_rate_P, band_2P: the interval along the curve.
    """

    rate_T: np.ndarray
    sensitivity_T: np.ndarray
    threshold_T: np.ndarray
    sensitivity_R: np.ndarray
    cpm: float
    interval_2R: np.ndarray
    cpm_interval: np.ndarray
    band_rate_P: np.ndarray
    band_2P: np.ndarray


def match(
    marks: Marks, nodules: Spheres, excluded: Spheres, scans: int, max_marks: int = MAX_MARKS
) -> Matched:
    """Judge marks by LUNA16's rules.

    A mark hits if its squared distance is strictly below (diameter / 2)²; it may hit several nodules. Marks on
    nodules are settled first; what is left on an excluded finding is dropped; the rest are false positives.
    """
    kept = _most_suspicious(marks, max_marks)
    score_K = np.full(len(nodules.scan_K), -np.inf)
    hits_K = np.zeros(len(nodules.scan_K), dtype=np.int64)
    on_nodule_N = np.zeros(len(kept.scan_N), dtype=bool)
    on_excluded_N = np.zeros(len(kept.scan_N), dtype=bool)
    mark_order, mark_start = _by_scan(kept.scan_N, scans)
    nodule_order, nodule_start = _by_scan(nodules.scan_K, scans)
    other_order, other_start = _by_scan(excluded.scan_K, scans)
    for s in range(scans):
        mine = mark_order[mark_start[s] : mark_start[s + 1]]
        here = nodule_order[nodule_start[s] : nodule_start[s + 1]]
        others = other_order[other_start[s] : other_start[s + 1]]
        if not len(mine):
            continue
        hit_NK = _hits(kept.centre_N3[mine], nodules.centre_K3[here], nodules.diameter_K[here])
        score_K[here] = np.max(np.where(hit_NK, kept.score_N[mine, None], -np.inf), axis=0)
        hits_K[here] = hit_NK.sum(axis=0)
        on_nodule_N[mine] = hit_NK.any(axis=1)
        on_excluded_N[mine] = _hits(
            kept.centre_N3[mine], excluded.centre_K3[others], excluded.diameter_K[others]
        ).any(axis=1)
    false_N = ~on_nodule_N & ~on_excluded_N
    return Matched(
        scans=scans,
        nodule_scan_K=nodules.scan_K,
        nodule_score_K=score_K,
        false_scan_M=kept.scan_N[false_N],
        false_score_M=kept.score_N[false_N],
        marks=len(kept.scan_N),
        double_hits=int(np.maximum(hits_K - 1, 0).sum()),
        on_excluded=int(np.sum(on_excluded_N & ~on_nodule_N)),
    )


def _most_suspicious(marks: Marks, max_marks: int) -> Marks:
    """Keep, in a scan with more than `max_marks`, those strictly above the score that comes next."""
    order = np.lexsort((-marks.score_N, marks.scan_N))
    scan_N, score_N = marks.scan_N[order], marks.score_N[order]
    first_N = np.searchsorted(scan_N, scan_N, side="left")
    end_N = np.searchsorted(scan_N, scan_N, side="right")
    next_N = first_N + max_marks
    crowded_N = next_N < end_N
    bar_N = np.where(crowded_N, score_N[np.where(crowded_N, next_N, 0)] if len(score_N) else 0.0, -np.inf)
    keep = np.sort(order[score_N > bar_N])  # in the order given
    return Marks(marks.scan_N[keep], marks.centre_N3[keep], marks.score_N[keep])


def _by_scan(scan_N: np.ndarray, scans: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an order that groups by scan and, (scans + 1,), where each scan begins in it."""
    order = np.argsort(scan_N, kind="stable")
    return order, np.searchsorted(scan_N[order], np.arange(scans + 1))


def _hits(centre_N3: np.ndarray, centre_K3: np.ndarray, diameter_K: np.ndarray) -> np.ndarray:
    """Return which mark lies within which sphere, (N, K) bool."""
    diameter_K = np.where(diameter_K < 0.0, UNKNOWN_DIAMETER_MM, diameter_K)
    squared_NK = np.sum((centre_N3[:, None, :] - centre_K3[None, :, :]) ** 2, axis=2)
    return np.asarray(squared_NK < (diameter_K / 2.0) ** 2)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Detected nodules and false positives by falling score, so that a resample needs two sums only.

    last_T: index of the last entry of each distinct score: equal scores are accepted together.
    """

    scan_E: np.ndarray
    true_E: np.ndarray
    score_T: np.ndarray
    last_T: np.ndarray
    nodules_S: np.ndarray

    @classmethod
    def of(cls, matched: Matched) -> _Ranked:
        seen_K = matched.nodule_score_K > -np.inf
        score_E = np.concatenate([matched.nodule_score_K[seen_K], matched.false_score_M])
        scan_E = np.concatenate([matched.nodule_scan_K[seen_K], matched.false_scan_M]).astype(np.int64)
        true_E = np.arange(len(score_E)) < seen_K.sum()
        order = np.argsort(-score_E, kind="stable")
        score_E = score_E[order]
        last_T = (
            np.flatnonzero(np.append(score_E[1:] != score_E[:-1], True)) if len(score_E) else np.arange(0)
        )
        nodules_S = np.bincount(matched.nodule_scan_K.astype(np.int64), minlength=matched.scans)
        return cls(scan_E[order], true_E[order], score_E[last_T], last_T, nodules_S)

    def curve(self, weight_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return false positives a scan and sensitivity, (1 + T,), with each scan counted `weight_S` times."""
        weight_E = weight_S[self.scan_E]
        true_T = np.cumsum(np.where(self.true_E, weight_E, 0))[self.last_T]
        false_T = np.cumsum(np.where(self.true_E, 0, weight_E))[self.last_T]
        total = int(np.dot(weight_S, self.nodules_S))
        sensitivity_T = true_T / total if total else np.full(len(true_T), np.nan)
        start = 0.0 if total else np.nan
        return np.append(0.0, false_T / weight_S.sum()), np.append(start, sensitivity_T)


def sensitivity_at(rates: np.ndarray, rate_T: np.ndarray, sensitivity_T: np.ndarray) -> np.ndarray:
    """Return the sensitivity of a curve (T,) at false positives a scan, `rates`, of any shape.

    Linear between its points; where the curve rises upright its top counts; past its end it stays level.
    """
    return np.asarray(np.interp(rates, rate_T, sensitivity_T))


def froc(matched: Matched, samples: int = SAMPLES, seed: int = 0, band_points: int = 97) -> Froc:
    """Return curve, sensitivities at RATES, CPM (their mean), 95 % intervals from `samples` resamples of scans.

    A resample without a nodule has no sensitivity and is left out of the interval.
    """
    ranked = _Ranked.of(matched)
    rates_R = np.array(RATES)
    band_rate_P = np.geomspace(RATES[0], RATES[-1], band_points)
    asked = np.concatenate([rates_R, band_rate_P])

    def statistic(weight_S: np.ndarray) -> np.ndarray:
        values = sensitivity_at(asked, *ranked.curve(weight_S))
        return np.append(values, values[: len(rates_R)].mean())

    bounds = bootstrap(statistic, matched.scans, samples, seed)
    rate_T, sensitivity_T = ranked.curve(np.ones(matched.scans, dtype=np.int64))
    sensitivity_R = sensitivity_at(rates_R, rate_T, sensitivity_T)
    return Froc(
        rate_T=rate_T,
        sensitivity_T=sensitivity_T,
        threshold_T=np.append(np.inf, ranked.score_T),
        sensitivity_R=sensitivity_R,
        cpm=float(sensitivity_R.mean()),
        interval_2R=bounds[:, : len(rates_R)],
        cpm_interval=bounds[:, -1],
        band_rate_P=band_rate_P,
        band_2P=bounds[:, len(rates_R) : -1],
    )
