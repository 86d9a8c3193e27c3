"""The results as tables and JSON: nodules.csv, candidates.csv, report.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate
from apps.nodule.reasons import Note, note
from apps.nodule.report.reported import ReportedFinding
from core.runs.files import write_csv, write_json

# Column of nodules.csv and candidates.csv → what it holds; names and order are LUNA16's.
CANDIDATE = {
    "seriesuid": "series instance UID, or file stem of a volume",
    "coordX": "centre, towards the patient's left (LPS), mm, 3 decimals",
    "coordY": "centre, towards the patient's back (LPS), mm, 3 decimals",
    "coordZ": "centre, towards the patient's head (LPS), mm, 3 decimals",
    "probability": "probability that it is a nodule, 0 to 1, 6 decimals",
    "diameter_mm": "diameter, mm, 1 decimal",
}
COLUMNS = tuple(CANDIDATE)
SCHEMA_VERSION = 1


def write_nodules(path: Path, uid: str, candidates: Iterable[Candidate]) -> None:
    """Write candidates in LUNA16's layout, in the order given.

    Columns: series UID; LPS x, y, z in mm (3 decimals); probability (6 decimals); diameter in mm (1 decimal).
    """
    write_csv(path, COLUMNS, (_row(uid, candidate) for candidate in candidates))


def _row(uid: str, candidate: Candidate) -> list[str]:
    coordinates = [_fixed(value, 3) for value in candidate.centre_mm]
    return [uid, *coordinates, _fixed(candidate.probability, 6), _fixed(candidate.diameter_mm, 1)]


def _fixed(value: float, digits: int) -> str:
    # Adding zero turns -0.0 into 0.0, so that a sign never depends on rounding noise.
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


def write_report(
    path: Path,
    volume: Volume,
    candidates: Sequence[Candidate],
    findings: Sequence[ReportedFinding],
    model: ModelInfo,
) -> None:
    """Write report.json: series, geometry, model, findings, notes. No clock, no patient attribute but UIDs."""
    write_json(path, report(volume, candidates, findings, model))


def report(
    volume: Volume, candidates: Sequence[Candidate], findings: Sequence[ReportedFinding], model: ModelInfo
) -> dict[str, Any]:
    """Return the content of report.json; lengths in mm, positions LPS, images numbered from 1."""
    return {
        "schema_version": SCHEMA_VERSION,
        "series": _series(volume),
        "model": {"name": model.name, "version": model.version, "threshold": model.threshold},
        "number_of_candidates": len(candidates),
        "number_of_findings": len(findings),
        "findings": [_finding(finding) for finding in findings],
        "notes": [{"code": code, "sentence": sentence} for code, sentence in notes(volume, findings)],
    }


def notes(volume: Volume, findings: Sequence[object]) -> list[Note]:
    """Return notes of what a reader should know: intake's notes, and what was left out."""
    missing = volume.sources and not findings  # a source other than DICOM gets an empty label map
    own = [note("no_segmentation")] if missing else []
    return [*volume.notes, *own]


def _series(volume: Volume) -> dict[str, Any]:
    depth, height, width = volume.hu_DHW.shape
    series: dict[str, Any] = {
        "uid": volume.uid,
        "size": {"slices": depth, "rows": height, "columns": width},
        "spacing_mm": dict(zip(("slice", "row", "column"), _round(volume.spacing_mm, 6), strict=True)),
    }
    if volume.sources and volume.sources[0].get("StudyInstanceUID"):
        series["study_uid"] = str(volume.sources[0].StudyInstanceUID)
    return series


def _finding(finding: ReportedFinding) -> dict[str, Any]:
    candidate, (first, last), side = finding.candidate, finding.mask_images, finding.side
    result: dict[str, Any] = {
        "number": finding.number,
        "centre_mm": dict(zip("xyz", _round(candidate.centre_mm, 3), strict=True)),
        "diameter_mm": round(float(candidate.diameter_mm), 1),
        "volume_mm3": round(float(finding.finding.volume_mm3), 1),
        "probability": round(float(candidate.probability), 6),
        "image": finding.image,
        "mask_images": {"first": first, "last": last},
    }
    result |= {"side": side.name} if side.name else {"side_unknown": side.why}
    if finding.header is not None and finding.header.get("SOPInstanceUID"):
        result["sop_instance_uid"] = str(finding.header.SOPInstanceUID)
    return result


def _round(values: Iterable[float], digits: int) -> list[float]:
    return [round(float(value), digits) + 0.0 for value in values]
