"""On held-out phantoms: CPM of the compact detector beside the Laplacian of Gaussian, on the same volumes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from apps.nodule.data.phantom.nodules import KINDS
from apps.nodule.data.phantom.placement import PLACEMENTS
from apps.nodule.evaluate import metrics_of
from apps.nodule.metrics.froc import Marks, Matched, Spheres, froc, match
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.detector import Detector
from apps.nodule.models.findings import Candidate
from benchmarks.nodule.blob import BlobDetector
from benchmarks.nodule.detection_cache import blob_cache, compact_cache, weights_digest
from benchmarks.nodule.held_out import HeldOut, set_digest
from benchmarks.nodule.shares import by_diameter, by_word, centres_and_scores, rounded, share, shares, table
from core.terminal.progress import progress

NOTHING = Spheres(np.zeros(0, dtype=int), np.zeros((0, 3)), np.zeros(0))
THIN_MM = 1.5


def measure_phantoms(detector: CompactDetector, phantoms: Sequence[HeldOut], cache: Path) -> dict[str, Any]:
    """Return both detectors' numbers; groups of the compact one at its working point."""
    compact = matched_on(phantoms, seen_by_compact(detector, phantoms, cache))
    blob = matched_on(phantoms, seen_by_blob(phantoms, cache))
    score, baseline = (metrics_of(m, froc(m), seed=0) for m in (compact, blob))
    return {
        "headline": {
            "CPM": f"{score['cpm']:.3f} ({score['ci95'][0]:.3f}–{score['ci95'][1]:.3f})",
            "CPM of the Laplacian of Gaussian": f"{baseline['cpm']:.3f}",
            "phantoms": str(len(phantoms)),
        },
        "weights": weights_digest(detector.net),
        "set": set_digest(list(phantoms)),
        "threshold": detector.threshold,
        "compact": {**score, "working_point": at_threshold(compact, phantoms, detector.threshold)},
        "blob": baseline,
        "table": table(compact, large(phantoms)),
    }


def seen_by_compact(
    detector: CompactDetector, phantoms: Sequence[HeldOut], cache: Path
) -> list[list[Candidate]]:
    """Run the compact detector on each phantom."""
    detections = compact_cache(cache, detector)
    return [
        detections(f"phantom-{p.digest[:16]}", partial(_detections_of, detector, p))
        for p in progress(phantoms, "compact")
    ]


def seen_by_blob(phantoms: Sequence[HeldOut], cache: Path) -> list[list[Candidate]]:
    """Run the classical baseline on each phantom."""
    detections, blob = blob_cache(cache), BlobDetector()
    return [
        detections(f"phantom-{p.digest[:16]}", partial(_detections_of, blob, p))
        for p in progress(phantoms, "Laplacian of Gaussian")
    ]


def _detections_of(detector: Detector, phantom: HeldOut) -> list[Candidate]:
    return detector.detect(phantom.volume()).candidates


def matched_on(phantoms: Sequence[HeldOut], by_scan: Sequence[Sequence[Candidate]]) -> Matched:
    """Judge candidates by LUNA16's rules."""
    parts = [centres_and_scores(candidates) for candidates in by_scan]
    marks = Marks(
        np.concatenate([np.full(len(scores), s) for s, (_, scores) in enumerate(parts)]).astype(int),
        np.concatenate([centres for centres, _ in parts]),
        np.concatenate([scores for _, scores in parts]),
    )
    nodules = [(s, n) for s, p in enumerate(phantoms) for n in p.nodules]
    truth = Spheres(
        np.array([s for s, _ in nodules], dtype=int),
        np.array([n.centre_mm for _, n in nodules], dtype=float).reshape(-1, 3),
        np.array([n.diameter_mm for _, n in nodules], dtype=float),
    )
    return match(marks, truth, NOTHING, scans=len(phantoms))


def large(phantoms: Sequence[HeldOut]) -> np.ndarray:
    """Return which nodules measure 5 mm or more, (K,) bool."""
    return np.array([n.diameter_mm >= 5 for p in phantoms for n in p.nodules], dtype=bool)


def at_threshold(matched: Matched, phantoms: Sequence[HeldOut], threshold: float) -> dict[str, Any]:
    """Return sensitivity by diameter, kind, placement and slice, and false positives a scan, at a threshold."""
    nodules = [(p, n) for p in phantoms for n in p.nodules]
    hit = matched.nodule_score_K >= threshold
    owners = [str(p.seed) for p, _ in nodules]
    slices = ["thin" if p.slice_mm <= THIN_MM else "thick" for p, _ in nodules]
    return {
        "false_positives": rounded(np.sum(matched.false_score_M >= threshold) / matched.scans),
        "all": share(hit, owners, np.ones(len(nodules), dtype=bool)),
        "diameter": shares(hit, owners, by_diameter(np.array([n.diameter_mm for _, n in nodules]))),
        "kind": shares(hit, owners, by_word([n.kind for _, n in nodules], KINDS)),
        "placement": shares(hit, owners, by_word([n.placement for _, n in nodules], PLACEMENTS)),
        "slices": shares(hit, owners, by_word(slices, ("thin", "thick"))),
    }
