"""TorchServe's handler: a zipped DICOM study comes in, what stage=infer writes to report.json goes out.

`stage=export formats=[torchserve]` puts this file into the archive, beside both networks in TorchScript; the server's
Python needs Triptych installed. Source: "Custom Service" of TorchServe's documentation.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from apps.nodule.config import ModelConfig
from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.study_zip import unpack_study
from apps.nodule.infer import SeriesResult, quarantined, search
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import NETWORKS, CompactDetector
from apps.nodule.reasons import STUDY
from apps.nodule.report.reported import reported
from apps.nodule.report.tables import report
from core.errors import InputError, where_of
from core.export import to_torchscript
from core.export.network import Runner
from core.export.to_torchserve import Archive

SETTINGS = "detector.json"
CONFIG = "model-config.yaml"
# One study is searched at a time by each worker; a large one takes minutes on a slow machine.
CONFIGURATION = "minWorkers: 1\nmaxWorkers: 4\nbatchSize: 1\nresponseTimeout: 600\ndeviceType: cpu\n"
OK, BAD_REQUEST, UNPROCESSABLE, FAULT, NO_ROOM = 200, 400, 422, 500, 507
STATUS = {"study_not_searched": UNPROCESSABLE, "study_fault": FAULT, "study_no_room": NO_ROOM}

Answer = dict[str, Any]


def archive_of(detector: CompactDetector) -> Archive:
    """Return what stage=export packs beside the networks of a detector."""
    settings = {"version": detector.version, "threshold": detector.threshold}
    files = {SETTINGS: json.dumps(settings).encode(), CONFIG: CONFIGURATION.encode()}
    return Archive("nodule", detector.version, Path(__file__), files, CONFIG)


def load_archive(folder: Path) -> CompactDetector:
    """Return the detector of an unpacked archive, on the CPU."""
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    version, threshold = str(settings["version"]), float(settings["threshold"])
    detector = CompactDetector(CompactNet(), version, threshold, ModelConfig(), torch.device("cpu"))
    runners = {name: to_torchscript.load(folder / f"{name}.pt", None) for name in NETWORKS}
    return detector.with_networks({name: _single(run) for name, run in runners.items()}, "torchscript")


def _single(run: Runner) -> Any:
    return lambda hu: run(hu)[0]


class NoduleHandler:
    """What TorchServe calls, in each of its workers."""

    def initialize(self, context: Any) -> None:
        """Load both networks from the folder that the server unpacked the archive to."""
        self.detector = load_archive(Path(context.system_properties["model_dir"]))

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[Answer]:
        """Return an answer for each request; a refused one has its status and {"error": {"code", "sentence"}}."""
        answers = []
        for number, request in enumerate(data):
            status, answer = answer_to(_body(request), self.detector)
            context.set_response_content_type(number, "application/json")
            context.set_response_status(code=status, idx=number)
            answers.append(answer)
        return answers


def answer_to(body: bytes, detector: CompactDetector) -> tuple[int, Answer]:
    """Return the HTTP status and the answer to a zipped study.

    200: {"series": […]}, each with its status, and with the content of report.json where it was searched. 422: the same
    with an error, where no series was. 400, 507 and 500: an error alone.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            unpack_study(body, Path(folder))
            items = scan(Path(folder))
            if not items:
                raise STUDY("study_no_files")
            results = [_searched(item, detector) for item in items]
    except InputError as error:
        return _refused(error)
    except Exception as error:
        _log(error)
        return _refused(STUDY("study_fault"))
    if any("report" in one for one in results):
        return OK, {"series": results}
    codes = ", ".join(sorted({one["reason"] for one in results}))
    status, answer = _refused(STUDY("study_not_searched", series=codes))
    return status, {**answer, "series": results}


def _body(request: Mapping[str, Any]) -> bytes:
    """Return the body of a request, or the only part of a form; empty where it is neither."""
    body = request.get("body", next(iter(request.values()), b""))
    return bytes(body) if isinstance(body, (bytes, bytearray)) else str(body).encode()


def _searched(item: SeriesItem, detector: CompactDetector) -> Answer:
    """Search one series; a defect that it meets does not stop the others."""
    try:
        return _series(search(item, detector), detector)
    except Exception as error:
        _log(error)
        return _series(quarantined(item), detector)


def _log(error: Exception) -> None:
    # neither the message nor the traceback: both may quote a patient's values
    logging.getLogger(__name__).error("%s at %s", type(error).__name__, where_of(error))


def _series(result: SeriesResult, detector: CompactDetector) -> Answer:
    answer = {
        "series": result.series,
        "status": result.status,
        "reason": result.code,
        "sentence": result.sentence,
    }
    if result.volume is None:
        return answer
    with quiet_libraries():
        findings = reported(result.volume, result.findings)
        return {**answer, "report": report(result.volume, result.candidates, findings, detector)}


def _refused(error: InputError) -> tuple[int, Answer]:
    return STATUS.get(error.code, BAD_REQUEST), {"error": {"code": error.code, "sentence": error.sentence}}
