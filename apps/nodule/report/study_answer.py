"""What a server answers to a study: what became of each series, and report.json of those that were searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.nodule.reasons import STUDY
from core.errors import InputError

Answer = dict[str, Any]

OK, BAD_REQUEST, UNPROCESSABLE, FAULT, NO_ROOM = 200, 400, 422, 500, 507
STATUS = {"study_not_searched": UNPROCESSABLE, "study_fault": FAULT, "study_no_room": NO_ROOM}


def series_answer(row: Mapping[str, Any], report: Mapping[str, Any] | None) -> Answer:
    """Return the answer for one series. row: of summary.csv. report: what report.json holds, if there is one."""
    answer = {name: row[name] for name in ("series", "status", "reason")} | {"sentence": row["detail"]}
    return answer if report is None else {**answer, "report": report}


def study_answer(series: Sequence[Answer]) -> tuple[int, Answer]:
    """Return HTTP status and answer for all series: 200, or 422 with an error where none was searched."""
    if any("report" in one for one in series):
        return OK, {"series": list(series)}
    codes = ", ".join(sorted({one["reason"] for one in series}))
    status, answer = refused(STUDY("study_not_searched", series=codes))
    return status, {**answer, "series": list(series)}


def refused(error: InputError) -> tuple[int, Answer]:
    """Return HTTP status and answer for a study that cannot be taken."""
    return STATUS.get(error.code, BAD_REQUEST), {"error": {"code": error.code, "sentence": error.sentence}}
