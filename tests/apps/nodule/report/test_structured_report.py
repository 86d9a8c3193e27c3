from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.reasons import note
from apps.nodule.report.reported import reported
from apps.nodule.report.segmentation import segmentation, tracking_uid
from apps.nodule.report.structured_report import structured_report


def test_each_finding_is_a_measurement_group(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    seg = segmentation(volume, findings, model)
    report = hd.sr.Comprehensive3DSR.from_dataset(
        structured_report(volume, reported(volume, findings), model, seg)
    )
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 2
    for index, (group, finding) in enumerate(zip(groups, findings, strict=True)):
        assert (group.tracking_uid, group.tracking_identifier) == (
            tracking_uid(volume, model, index),
            f"Nodule {index + 1}",
        )
        assert group.finding_type == codes.SCT.Nodule
        assert group.finding_sites[0].value == codes.SCT.Lung
        values = {item.name: (item.value, item.unit) for item in group.get_measurements()}
        assert values == {
            codes.SCT.Diameter: (finding.candidate.diameter_mm, codes.UCUM.Millimeter),
            codes.SCT.Volume: (round(finding.volume_mm3, 1), codes.UCUM.CubicMillimeter),
            codes.DCM.CertaintyOfFinding: (finding.candidate.probability, codes.UCUM.NoUnits),
        }
        segment = group.referenced_segment
        assert segment is not None
        assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert list(segment.referenced_segment_numbers) == [index + 1]
        assert segment.has_source_images()


def test_it_names_the_device_and_all_evidence(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    seg = segmentation(volume, findings, model)
    report = hd.sr.Comprehensive3DSR.from_dataset(
        structured_report(volume, reported(volume, findings), model, seg)
    )
    evidence = {str(item[2]) for item in report.get_evidence()}
    assert evidence == {seg.SOPInstanceUID, *(str(item.SOPInstanceUID) for item in volume.sources)}
    text = str(report)
    assert "Triptych compact" in text
    assert "working point 0.4" in text


def test_no_finding_says_not_detected(volume: Volume, model: ModelInfo) -> None:
    report = structured_report(volume, [], model, None)
    last = report.ContentSequence[-1]
    assert last.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    item, comment = last.ContentSequence
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "Nodule"
    assert item.ConceptCodeSequence[0].CodeMeaning == "Not detected"
    assert comment.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    assert comment.TextValue == "One slice was missing."
    assert "Imaging Measurements" not in str(report)
    (series,) = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert len(series.ReferencedSOPSequence) == 40


def test_without_a_lung_no_nodule_is_called_absent(volume: Volume, model: ModelInfo) -> None:
    report = structured_report(replace(volume, notes=(note("no_lung", limit=20),)), [], model, None)
    item, comment = report.ContentSequence[-1].ContentSequence
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "Lung"
    assert item.ConceptCodeSequence[0].CodeMeaning == "Not detected"
    assert comment.TextValue.startswith("No lung found")


def test_limits_of_the_search_stand_beside_the_findings(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    limit = note("not_searched", largest=90)
    volume = replace(volume, notes=(limit,))
    report = structured_report(
        volume, reported(volume, findings), model, segmentation(volume, findings, model)
    )
    (comment,) = report.ContentSequence[-1].ContentSequence
    assert comment.TextValue == limit[1]
    parsed = hd.sr.Comprehensive3DSR.from_dataset(report)
    assert len(parsed.content.get_volumetric_roi_measurement_groups()) == 2
    bare = replace(volume, notes=())
    report = structured_report(bare, reported(bare, findings), model, segmentation(bare, findings, model))
    assert report.ContentSequence[-1].ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"


def test_findings_and_segmentation_come_together(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    with pytest.raises(ValueError, match="findings need their Segmentation, and only findings do"):
        structured_report(volume, reported(volume, findings), model, None)
    with pytest.raises(ValueError, match="findings need their Segmentation, and only findings do"):
        structured_report(volume, [], model, Dataset())


def test_an_enhanced_source_is_referenced_as_a_whole(
    enhanced: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    seg = segmentation(enhanced, findings, model)
    report = hd.sr.Comprehensive3DSR.from_dataset(
        structured_report(enhanced, reported(enhanced, findings), model, seg)
    )
    for group in report.content.get_volumetric_roi_measurement_groups():
        segment = group.referenced_segment
        assert segment is not None
        (source,) = segment.source_images_for_segmentation
        assert source.referenced_sop_instance_uid == enhanced.sources[0].SOPInstanceUID
