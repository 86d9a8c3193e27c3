"""The answer to a study: its status, what became of each series, and refusals."""

from __future__ import annotations

import pytest

from apps.nodule.reasons import STUDY
from apps.nodule.report.study_answer import refused, series_answer, study_answer

ROW = {"series": "1.2", "status": "accepted", "reason": "ct_series", "detail": "A sentence.", "findings": 1}


def test_a_searched_series_carries_its_report() -> None:
    assert series_answer(ROW, {"findings": []}) == {
        "series": "1.2",
        "status": "accepted",
        "reason": "ct_series",
        "sentence": "A sentence.",
        "report": {"findings": []},
    }


def test_one_searched_series_is_enough() -> None:
    skipped = series_answer({**ROW, "reason": "localiser"}, None)
    searched = series_answer(ROW, {})
    assert study_answer([skipped, searched]) == (200, {"series": [skipped, searched]})
    status, answer = study_answer([skipped, skipped])
    assert (status, answer["series"]) == (422, [skipped, skipped])
    assert answer["error"]["sentence"] == "None of the series in the study can be searched: localiser."


@pytest.mark.parametrize(
    ("code", "status"), [("study_empty", 400), ("study_fault", 500), ("study_no_room", 507)]
)
def test_a_refusal_has_its_status(code: str, status: int) -> None:
    assert refused(STUDY(code)) == (status, {"error": {"code": code, "sentence": STUDY.sentence(code)}})
