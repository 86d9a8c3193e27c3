"""TorchServe's handler, called as the server calls it: a zipped study in, report.json out, refusals with their code."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.nodule import torchserve_handler
from apps.nodule.config import ModelConfig, NoduleConfig
from apps.nodule.data.series import SeriesItem
from apps.nodule.infer import SeriesResult, run, search
from apps.nodule.models.compact_detector import CompactDetector, load_compact
from apps.nodule.torchserve_handler import NoduleHandler, answer_to, archive_of, load_archive
from core.runs.folder import Run
from tests.apps.nodule.inputs import fresh_weights, good_ct, localiser, missing
from tests.deploy.archives import nodule_archive, zipped_folder


class Context:
    """What of TorchServe's context is used."""

    def __init__(self, folder: Path) -> None:
        self.system_properties = {"model_dir": str(folder)}
        self.statuses: dict[int, int] = {}
        self.types: dict[int, str] = {}

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.statuses[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.types[idx] = value


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_weights(tmp_path_factory.mktemp("weights") / "weights.safetensors")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """The folder that the server would unpack the archive to."""
    folder = tmp_path_factory.mktemp("archive")
    with zipfile.ZipFile(nodule_archive(folder, weights)) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def detector(unpacked: Path) -> CompactDetector:
    return load_archive(unpacked)


def test_the_archive_holds_both_networks_and_the_working_point(
    unpacked: Path, detector: CompactDetector
) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        "MAR-INF", "torchserve_handler.py", "detector.json", "model-config.yaml", "proposal.pt", "judge.pt",
    }  # fmt: skip
    assert (detector.version, detector.threshold) == ("0.0.1+torchscript", 0.05)


def test_it_answers_what_infer_writes(
    detector: CompactDetector, weights: Path, tmp_path: Path, unpacked: Path
) -> None:
    uid = good_ct(tmp_path / "in")
    localiser(tmp_path / "in")
    handler, context = NoduleHandler(), Context(unpacked)
    handler.initialize(context)
    (answer,) = handler.handle([{"body": bytearray(zipped_folder(tmp_path / "in"))}], context)
    assert (context.statuses, context.types) == ({0: 200}, {0: "application/json"})

    config = NoduleConfig(
        "infer", input=str(tmp_path / "in"), output=str(tmp_path / "out"), weights=str(weights)
    )
    with (record := Run(tmp_path / "run", stage="infer")).log:
        run(config, record)
    wanted = json.loads((tmp_path / "out" / uid / "report.json").read_text("utf-8"))
    assert wanted["number_of_findings"] > 5
    by_series = {one["series"]: one for one in answer["series"]}
    got = json.loads(json.dumps(by_series.pop(uid)["report"]))
    assert got.pop("model") == {**wanted.pop("model"), "version": "0.0.1+torchscript"}
    assert close(got, wanted)
    ((_, other),) = by_series.items()
    assert (other["status"], other["reason"]) == ("skipped", "localiser")
    assert "report" not in other


def close(got: Any, wanted: Any) -> bool:
    """Equal but for the last digit of a rounded number."""
    if isinstance(wanted, dict):
        return bool(got.keys() == wanted.keys() and all(close(got[key], wanted[key]) for key in wanted))
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(close, got, wanted))
    return bool(got == (pytest.approx(wanted, rel=1e-4, abs=2e-3) if isinstance(wanted, float) else wanted))


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "study_empty"), (b"no zip", "study_not_zip"), (b"PK no zip", "study_damaged")],
)
def test_a_body_that_is_no_study_is_400(detector: CompactDetector, body: bytes, code: str) -> None:
    status, answer = answer_to(body, detector)
    assert status == 400
    assert answer.keys() == {"error"}
    assert answer["error"]["code"] == code


@pytest.mark.parametrize(("make", "reason"), [(localiser, "localiser"), (missing, "missing_slices")])
def test_a_study_without_a_searched_series_is_422(
    detector: CompactDetector, tmp_path: Path, make: Callable[[Path], str], reason: str
) -> None:
    uid = make(tmp_path)
    status, answer = answer_to(zipped_folder(tmp_path), detector)
    assert status == 422
    assert answer["error"] == {
        "code": "study_not_searched",
        "sentence": f"None of the series in the study can be searched: {reason}.",
    }
    assert [(one["series"], one["reason"]) for one in answer["series"]] == [(uid, reason)]


def test_files_that_are_never_read_are_400(detector: CompactDetector) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(".DS_Store", "x")
    status, answer = answer_to(stream.getvalue(), detector)
    assert (status, answer["error"]["code"]) == (400, "study_no_files")


@pytest.mark.parametrize("request_", [{}, {"body": {"json": 1}}, {"data": b"no zip"}, {"file": "text"}])
def test_other_requests_are_400(unpacked: Path, request_: dict[str, Any]) -> None:
    handler, context = NoduleHandler(), Context(unpacked)
    handler.initialize(context)
    answers = handler.handle([request_, request_], context)
    assert [one["error"]["code"] for one in answers] == ["study_not_zip" if request_ else "study_empty"] * 2
    assert context.statuses == {0: 400, 1: 400}


def test_a_defect_is_500_without_a_word_of_the_patient(
    detector: CompactDetector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("PATIENT^NAME")

    monkeypatch.setattr(torchserve_handler, "unpack_zip", fail)
    with caplog.at_level(logging.ERROR):
        status, answer = answer_to(b"x", detector)
    assert (status, answer["error"]["code"]) == (500, "study_fault")
    assert "RuntimeError at" in caplog.text
    assert "PATIENT" not in caplog.text + json.dumps(answer)


def test_a_defect_in_one_series_does_not_stop_the_others(
    detector: CompactDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid, other = good_ct(tmp_path), localiser(tmp_path)

    def fails_once(item: SeriesItem, detector: CompactDetector) -> SeriesResult:
        if item.id == uid:
            raise RuntimeError("PATIENT^NAME")
        return search(item, detector)

    monkeypatch.setattr(torchserve_handler, "search", fails_once)
    status, answer = answer_to(zipped_folder(tmp_path), detector)
    assert status == 422
    assert {one["series"]: one["reason"] for one in answer["series"]} == {
        uid: "internal_fault",
        other: "localiser",
    }
    assert "PATIENT" not in json.dumps(answer)


def test_an_archive_is_of_the_weights_that_are_exported(weights: Path) -> None:
    archive = archive_of(load_compact(ModelConfig(device="cpu"), str(weights)))
    assert (archive.name, archive.version, archive.handler.name) == (
        "nodule",
        "0.0.1",
        "torchserve_handler.py",
    )
    assert json.loads(archive.files["detector.json"]) == {"version": "0.0.1", "threshold": 0.05}
