"""The detector as the service's own process runs it: a study in the body of a request, the files of stage=infer out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from apps.nodule.config import ModelConfig
from apps.nodule.data.series import scan
from apps.nodule.data.study_body import unpack_body
from apps.nodule.infer import search_into
from apps.nodule.models.build import build_detector
from apps.nodule.reasons import STUDY
from core.runs.log import RunLog
from core.serving.messages import Message

BODY, STUDY_FOLDER, RESULTS = "body", "study", "results"


class StudySearch:
    """A detector, and where faults are logged.

    model: fields of `ModelConfig`. weights, artifacts, runtime: as in the command. log: file of the log.
    Raises ConfigError and InputError where the detector cannot be built.
    """

    def __init__(
        self, model: dict[str, Any], weights: str | None, artifacts: str | None, runtime: str, log: str
    ) -> None:
        self._detector = build_detector(ModelConfig(**model), weights, artifacts, runtime)
        self._log = RunLog(Path(log))

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    @property
    def about(self) -> dict[str, Any]:
        """Return name, version and threshold of the detector."""
        detector = self._detector
        return {"name": detector.name, "version": detector.version, "threshold": detector.threshold}

    def __call__(self, request: Message) -> Message:
        """Search a study: {"folder", "content_type"} → {"rows"}, those of summary.csv.

        The body lies in the folder, results are written beside it. Raises InputError: of STUDY where it is no study, or
        where results cannot be written.
        """
        rows = self._search(Path(request.content["folder"]), request.content["content_type"])
        return Message({"rows": rows})

    def _search(self, place: Path, content_type: str) -> list[dict[str, Any]]:
        study, results = place / STUDY_FOLDER, place / RESULTS
        for folder in (study, results):
            shutil.rmtree(folder, ignore_errors=True)  # of a process that ended before it had answered
            folder.mkdir()
        unpack_body(place / BODY, content_type, study)
        items = scan(study)
        if not items:
            raise STUDY("study_no_files")
        return search_into(items, self._detector, study, results, self._log)
