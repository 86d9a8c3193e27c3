from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.reported import reported
from apps.nodule.report.tables import report, write_nodules, write_report


def test_columns_and_digits_are_frozen(tmp_path: Path) -> None:
    write_nodules(tmp_path / "n.csv", "1.2", [Candidate((-0.0001, 2.34567, -200.9927893), 8.766, 0.98765432)])
    assert (tmp_path / "n.csv").read_text() == (
        "seriesuid,coordX,coordY,coordZ,probability,diameter_mm\n1.2,0.000,2.346,-200.993,0.987654,8.8\n"
    )


def test_nothing_found_is_a_header_line(tmp_path: Path) -> None:
    write_nodules(tmp_path / "n.csv", "1.2", [])
    assert (tmp_path / "n.csv").read_text() == "seriesuid,coordX,coordY,coordZ,probability,diameter_mm\n"


def test_report_says_what_was_found(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    content = report(volume, [finding.candidate for finding in findings], reported(volume, findings), model)
    assert content["schema_version"] == 1
    assert content["model"] == {"name": "compact", "version": "1.0.0", "threshold": 0.4}
    assert content["series"]["size"] == {"slices": 40, "rows": 64, "columns": 64}
    assert content["series"]["spacing_mm"] == {"slice": 2.5, "row": 0.8, "column": 0.8}
    first, second = content["findings"]
    assert first["centre_mm"] == {"x": -14.0, "y": -6.0, "z": -50.0}
    assert (first["diameter_mm"], first["probability"], first["image"]) == (8.0, 0.91, 13)
    assert first["mask_images"] == {"first": 12, "last": 14}
    assert first["sop_instance_uid"] == volume.sources[12].SOPInstanceUID
    assert second["number"] == 2
    assert (first["side"], second["side"]) == ("right", "left")
    assert content["notes"] == [{"code": "gap_filled", "sentence": "One slice was missing."}]


def test_report_holds_no_patient_attribute(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    for item in volume.sources:
        item.PatientName, item.PatientID, item.AccessionNumber = "CANARY^Name", "CANARY-ID", "CANARYACC"
    write_report(tmp_path / "r.json", volume, [], reported(volume, findings), model)
    text = (tmp_path / "r.json").read_text()
    assert json.loads(text)["number_of_findings"] == 2
    assert "CANARY" not in text
    assert "2019" not in text


def test_no_finding_is_said(volume: Volume, model: ModelInfo) -> None:
    content = report(volume, [], [], model)
    assert content["findings"] == []
    assert [note["code"] for note in content["notes"]] == ["gap_filled", "no_segmentation"]


def test_a_side_that_is_not_known_says_why(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    turned = replace(volume, is_oriented=False)
    content = report(turned, [], reported(turned, findings), model)
    for finding in content["findings"]:
        assert "side" not in finding
        assert finding["side_unknown"] == "the file does not say how its axes lie in the patient"
