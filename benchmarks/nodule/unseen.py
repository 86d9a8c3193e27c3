"""On scans of test patients, annotated in LUNA16's form: the nodules detected and the false positives.

Nothing is chosen here: weights, working point and code were fixed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.nodule.data.load import load
from apps.nodule.data.luna16 import Annotations, Predictions, read_annotations, read_seriesuids, scan_numbers
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.evaluate import evaluate
from apps.nodule.metrics.froc import Matched
from apps.nodule.models.compact_detector import CompactDetector
from benchmarks.nodule.detection_cache import weights_digest
from benchmarks.nodule.shares import centres_and_scores, rounded
from core.errors import InputError
from core.terminal.progress import progress


def measure_unseen(detector: CompactDetector, folder: Path) -> dict[str, Any]:
    """Return the nodules of a folder's scans with the probability each got, and the false positives.

    folder: holds the series anywhere below it, and annotations.csv, annotations_excluded.csv and seriesuids.csv.
    Raises InputError where a series that is listed is not there, or is refused.
    """
    scans = read_seriesuids(folder / "seriesuids.csv")
    annotations = read_annotations(folder / "annotations.csv")
    excluded = read_annotations(folder / "annotations_excluded.csv")
    predictions = _predictions(detector, _listed(folder, scans))
    matched, _ = evaluate(predictions, annotations, excluded, scans)
    nodules = _nodules(matched, annotations, scans, detector.threshold)
    false = int(np.sum(matched.false_score_M >= detector.threshold))
    hits = sum(nodule["found"] for nodule in nodules)
    return {
        "headline": {"found": f"{hits} of {len(nodules)}", "false positives": str(false)},
        "weights": weights_digest(detector.net),
        "threshold": detector.threshold,
        "scans": len(scans),
        "found": hits,
        "nodules": nodules,
        "false_positives": false,
        "false_scores": [rounded(s) for s in -np.sort(-matched.false_score_M) if s >= detector.threshold],
    }


def _listed(folder: Path, scans: Sequence[str]) -> list[SeriesItem]:
    items = {item.id: item for item in scan(folder) if item.status == "accepted"}
    missing = [number for number, uid in enumerate(scans, start=1) if uid not in items]
    if missing:
        listed = ", ".join(map(str, missing))
        raise InputError(
            "no_series", f"{folder.name}: series {listed} of seriesuids.csv is not there, or refused"
        )
    return [items[uid] for uid in scans]


def _predictions(detector: CompactDetector, items: Sequence[SeriesItem]) -> Predictions:
    marks = [centres_and_scores(detector.detect(load(item)).candidates) for item in progress(items, "scans")]
    series = [item.id for item, (_, scores) in zip(items, marks, strict=True) for _ in scores]
    centres, scores = (np.concatenate(part) for part in zip(*marks, strict=True))
    return Predictions(tuple(series), centres, scores, np.full(len(series), np.nan))


def _nodules(
    matched: Matched, annotations: Annotations, scans: Sequence[str], threshold: float
) -> list[dict[str, Any]]:
    listed = scan_numbers(annotations.series, scans) >= 0
    return [
        {
            "diameter_mm": round(float(diameter), 1),
            "probability": rounded(p) if np.isfinite(p) else None,
            "found": bool(p >= threshold),
        }
        for diameter, p in zip(annotations.diameter_K[listed], matched.nodule_score_K, strict=True)
    ]
