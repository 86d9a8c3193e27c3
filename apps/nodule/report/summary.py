"""summary.csv: one row for each series of the input."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.runs.files import write_csv

# Column of summary.csv → what it holds; the documentation shows it.
SUMMARY = {
    "series": "series instance UID, with -part-<n> where a series was split, or file stem: the folder of its results",
    "status": "accepted, skipped (by rule, no fault) or quarantined",
    "reason": "one stable reason code",
    "detail": "sentences for people: the reason, then the notes",
    "notes": "codes of repairs and peculiarities, separated by spaces",
    "files": "number of files of the series",
    "findings": "number of findings; empty where the series was not searched",
    "candidates": "number of candidates; empty where the series was not searched",
    "study_uid": "study instance UID of the source; empty for a volume",
    "series_description": "series description of the source",
}
SUMMARY_COLUMNS = tuple(SUMMARY)
SUMMARY_FILE = "summary.csv"


def write_summary(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write summary.csv, a row for each series; raises OutputError where it cannot be written."""
    write_csv(path, SUMMARY_COLUMNS, [[row[column] for column in SUMMARY_COLUMNS] for row in rows])
