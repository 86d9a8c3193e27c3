"""TorchServe's handler: a zipped DICOM study comes in, what stage=infer writes to report.json goes out.

`stage=export formats=[torchserve]` puts this file into the archive, beside both networks in TorchScript; the server's
Python needs Triptych installed. Source: "Custom Service" of TorchServe's documentation.
"""

from __future__ import annotations

import io
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
from apps.nodule.data.study_zip import unpack_zip
from apps.nodule.infer import SeriesResult, quarantined, search, summary_row
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import NETWORKS, CompactDetector
from apps.nodule.reasons import STUDY
from apps.nodule.report.reported import reported
from apps.nodule.report.study_answer import Answer, refused, series_answer, study_answer
from apps.nodule.report.tables import report
from core.errors import InputError, where_of
from core.export import to_torchscript
from core.export.network import Runner
from core.export.to_torchserve import Archive

SETTINGS = "detector.json"
CONFIG = "model-config.yaml"
# One study is searched at a time by each worker; a large one takes minutes on a slow machine.
CONFIGURATION = "minWorkers: 1\nmaxWorkers: 4\nbatchSize: 1\nresponseTimeout: 600\ndeviceType: cpu\n"


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
            unpack_zip(io.BytesIO(body), Path(folder))
            items = scan(Path(folder))
            if not items:
                raise STUDY("study_no_files")
            return study_answer([_searched(item, detector) for item in items])
    except InputError as error:
        return refused(error)
    except Exception as error:
        _log(error)
        return refused(STUDY("study_fault"))


def _body(request: Mapping[str, Any]) -> bytes:
    """Return the body of a request, or the only part of a form; empty where it is neither."""
    body = request.get("body", next(iter(request.values()), b""))
    return bytes(body) if isinstance(body, (bytes, bytearray)) else str(body).encode()


def _searched(item: SeriesItem, detector: CompactDetector) -> Answer:
    """Search one series; a defect that it meets does not stop the others."""
    try:
        result = search(item, detector)
        return series_answer(summary_row(result), _report(result, detector))
    except Exception as error:
        _log(error)
        return series_answer(summary_row(quarantined(item)), None)


def _log(error: Exception) -> None:
    # neither the message nor the traceback: both may quote a patient's values
    logging.getLogger(__name__).error("%s at %s", type(error).__name__, where_of(error))


def _report(result: SeriesResult, detector: CompactDetector) -> Answer | None:
    if result.volume is None:
        return None
    with quiet_libraries():
        findings = reported(result.volume, result.findings)
        return report(result.volume, result.candidates, findings, detector)
