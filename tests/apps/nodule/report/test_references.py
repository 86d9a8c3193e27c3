"""Results of sources that lack what the standard lets them lack, or write it badly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.report.capture import captures
from apps.nodule.report.references import (
    Reference,
    evidence,
    lossy_compression,
    name_sources,
    plane_of,
    references,
    slice_headers,
)
from apps.nodule.report.reported import reported
from apps.nodule.report.segmentation import segmentation
from apps.nodule.report.structured_report import structured_report
from apps.nodule.report.write import encode
from tests.apps.nodule.report.test_segmentation import assert_lies_on_findings

# Everything that a CT slice may hold and highdicom 0.28 reads of a source, in its constructors of SEG, SR and their
# bases (the modules patient, study, frame of reference, image plane, image, equipment), or that we pass on.
READ = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "Modality", "Rows", "Columns", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "ImagePositionPatient", "ImageOrientationPatient", "SpecificCharacterSet", "PatientID", "PatientName",
    "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "SeriesNumber", "SeriesDate", "SeriesTime", "InstanceNumber", "Manufacturer",
    "LossyImageCompression", "NumberOfFrames", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence",
)  # fmt: skip
GROUPS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")


def made(volume: Volume, findings: list[Finding], model: ModelInfo) -> list[Dataset]:
    seg = segmentation(volume, findings, model)
    results = [seg, structured_report(volume, reported(volume, findings), model, seg)]
    assert all(len(encode(item)) > 1000 for item in results)
    assert_lies_on_findings(seg, volume, findings)
    return results


def remove(dataset: Dataset, keyword: str) -> None:
    """Take an attribute out of a header and of all its functional groups."""
    for item in [dataset, *(s for e in dataset if e.VR == "SQ" for s in e.value)]:
        for group in [item, *(s for e in item if e.VR == "SQ" for s in e.value)]:
            if keyword in group:
                delattr(group, keyword)


@pytest.mark.parametrize("keyword", [*READ, "*"])
def test_any_attribute_may_be_absent(
    volume: Volume, make_ball: Callable[..., Finding], model: ModelInfo, keyword: str
) -> None:
    for item in volume.sources:
        for one in READ if keyword == "*" else [keyword]:
            remove(item, one)
    findings = [make_ball(volume, (12, 30, 14), 8.0, 0.9)]
    made(volume, findings, model)
    assert keyword != "*" or len(encode(captures(volume, reported(volume, findings), model)[0])) > 1000


@pytest.mark.parametrize(
    "keyword", ["SliceThickness", "PixelSpacing", "ImageOrientationPatient", *GROUPS, *READ[-3:], "*"]
)
def test_any_attribute_of_an_enhanced_source_may_be_absent(
    several_objects: Volume, make_ball: Callable[..., Finding], model: ModelInfo, keyword: str
) -> None:
    for item in several_objects.sources:
        for one in (*READ, *GROUPS) if keyword == "*" else [keyword]:
            remove(item, one)
    made(several_objects, [make_ball(several_objects, (12, 30, 14), 8.0, 0.9)], model)


@pytest.mark.parametrize("value", ["", None, "0", "-1"])
def test_a_thickness_that_is_none_becomes_the_distance_of_slices(volume: Volume, value: str | None) -> None:
    for item in volume.sources:
        item.SliceThickness = value
    assert plane_of(volume).thickness_mm == plane_of(volume).gap_mm == 2.5


def test_directions_that_differ_by_rounding_are_one(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    for number, item in enumerate(volume.sources):
        item.ImageOrientationPatient = [1, 1e-4 * (number % 3), 0, 0, 1, 0]
    made(volume, findings, model)


def test_one_instance_uid_on_every_slice(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    for item in volume.sources:
        item.SOPInstanceUID = "1.2.3"
    seg = segmentation(volume, findings, model)
    assert len(seg.SourceImageSequence) == 1
    assert_lies_on_findings(seg, volume, findings)


def test_each_frame_of_several_objects_is_named(
    several_objects: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    """Four Enhanced CT objects in one series: SEG and SR name object and frame of each slice."""
    images = references(several_objects, model)
    assert [image.frame for image in images[:12]] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2]
    seg, report = made(several_objects, findings, model)
    pictures = captures(several_objects, reported(several_objects, findings), model)
    objects = {str(item.SOPInstanceUID): item for item in several_objects.sources}
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 4
    groups = seg.PerFrameFunctionalGroupsSequence
    assert len(groups) == 8
    for group in groups:
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        source = objects[item.ReferencedSOPInstanceUID].PerFrameFunctionalGroupsSequence
        position = source[item.ReferencedFrameNumber - 1].PlanePositionSequence[0].ImagePositionPatient
        assert position == group.PlanePositionSequence[0].ImagePositionPatient
    named = [e for e in report.iterall() if e.keyword == "ReferencedFrameNumber"]
    assert [list(np.atleast_1d(e.value)) for e in named] == [[2, 3, 4], [8, 9, 10], [1, 2]]
    assert pictures[0].SourceImageSequence[0].ReferencedFrameNumber == 3
    evidence_list = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(item.ReferencedSOPSequence) for item in evidence_list) == 4 + 1


def test_slice_headers_hold_no_patient(volume: Volume, model: ModelInfo) -> None:
    headers = slice_headers(volume, model)
    assert len(headers) == len({item.SOPInstanceUID for item in headers}) == 40
    assert all(not item.PatientName and not item.PatientID for item in headers)
    listed = evidence(volume, model)
    assert [item.SOPInstanceUID for item in listed] == [item.SOPInstanceUID for item in volume.sources]
    assert all(not item.PatientName for item in listed)


def test_a_missing_frame_of_reference_is_derived(volume: Volume, model: ModelInfo) -> None:
    for item in volume.sources:
        del item.FrameOfReferenceUID
    uids = {item.FrameOfReferenceUID for item in slice_headers(volume, model)}
    assert len(uids) == 1
    assert uids.pop().startswith("2.25.")


def test_stand_ins_are_replaced() -> None:
    seg, group, derivation, item, series = (Dataset() for _ in range(5))
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, "2.25.2"
    derivation.SourceImageSequence, group.DerivationImageSequence = [item], [derivation]
    seg.PerFrameFunctionalGroupsSequence, seg.ReferencedSeriesSequence = [group], [series]
    name_sources(seg, [Reference(CTImageStorage, "1.2.3", 4), Reference(CTImageStorage, "1.2.3", 5)])  # type: ignore[arg-type]
    assert (item.ReferencedSOPInstanceUID, item.ReferencedFrameNumber) == ("1.2.3", 5)
    assert len(seg.SourceImageSequence) == len(series.ReferencedInstanceSequence) == 1
    assert "ReferencedFrameNumber" not in seg.SourceImageSequence[0]


def test_lossy_compression_is_passed_on_whole_or_not_at_all(volume: Volume) -> None:
    assert lossy_compression(volume).LossyImageCompression == "00"
    volume.sources[3].LossyImageCompression = "01"
    assert lossy_compression(volume).LossyImageCompression == "01"
    assert "LossyImageCompressionRatio" not in lossy_compression(volume)
    volume.sources[3].LossyImageCompressionRatio, volume.sources[3].LossyImageCompressionMethod = (
        9,
        "ISO_10918_1",
    )
    assert lossy_compression(volume).LossyImageCompressionRatio == 9
