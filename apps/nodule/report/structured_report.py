"""The measurements as a DICOM Structured Report: TID 1500, one volumetric group (TID 1411) a finding."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.report.references import Reference, evidence, references
from apps.nodule.report.reported import ReportedFinding
from apps.nodule.report.segmentation import tracking_uid
from apps.nodule.report.source import MANUFACTURER, stamp
from apps.nodule.report.uids import result_uid

SERIES_NUMBER = 9102
_NOT_DETECTED = Code("260415000", "SCT", "Not detected")
_CT = Code("77477000", "SCT", "Computed Tomography")
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


def structured_report(
    volume: Volume, findings: Sequence[ReportedFinding], model: ModelInfo, seg: Dataset | None
) -> Dataset:
    """Return a Measurement Report (DICOM PS3.16 TID 1500) as Comprehensive 3D SR (PS3.3 A.35.13).

    Each finding has a tracking identifier, site, diameter (mm), volume (mm³) and certainty (0..1), and points to its
    segment in `seg` and to the source images under it. Without findings `seg` is None and the report says
    "Nodule: not detected", or "Lung: not detected" where there was none to search. The notes of the volume (limits of
    the search, repairs) stand in it as comments. Raises ValueError where one of the two is missing.
    """
    if bool(findings) != (seg is not None):
        raise ValueError("findings need their Segmentation, and only findings do")
    images = references(volume, model)
    report = hd.sr.Comprehensive3DSR(
        evidence=[*evidence(volume, model), *([_blank(seg)] if seg is not None else [])],
        content=_content(volume, images, findings, model, seg),
        series_instance_uid=result_uid(volume.uid, model, "sr series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uid(volume.uid, model, "sr instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        record_evidence=True,
        series_description="Triptych lung nodules SR",
    )
    stamp(report, volume.sources[0], model)
    return report


def _blank(seg: Dataset) -> Dataset:
    """Return the references of a Segmentation, which is all that evidence needs."""
    item = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(item, keyword, seg[keyword].value)
    return item


def _content(
    volume: Volume,
    images: Sequence[Reference],
    findings: Sequence[ReportedFinding],
    model: ModelInfo,
    seg: Dataset | None,
) -> MeasurementReport:
    groups: list[VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations]
    if seg is None:
        groups = [_placeholder(volume, model)]
    else:
        groups = [_group(volume, finding, model, _segment(images, finding, seg)) for finding in findings]
    content = MeasurementReport(
        observation_context=_observer(volume, model),
        procedure_reported=_CT,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    root = content[0]
    kept = list(root.ContentSequence)[: -1 if seg is None else None]
    if seg is None or volume.notes:
        kept.append(_evaluations(volume, without=seg is None))
    root.ContentSequence = ContentSequence(kept)
    return content


def _observer(volume: Volume, model: ModelInfo) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=result_uid(volume.uid, model, "device"),
        name=f"Triptych {model.name}",
        manufacturer_name=MANUFACTURER,
        model_name=model.name,
        serial_number=model.version,
    )
    context = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return ObservationContext(observer_device_context=context)


def _algorithm(model: ModelInfo) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=f"Triptych {model.name}",
        version=model.version,
        parameters=[f"working point {model.threshold:.6g}"],
    )


def _group(
    volume: Volume, finding: ReportedFinding, model: ModelInfo, segment: ReferencedSegment
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    side = finding.side.name
    site = FindingSite(codes.SCT.Lung, laterality=_SIDES[side] if side else None)
    candidate = finding.candidate
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=tracking_uid(volume, model, finding.number - 1), identifier=f"Nodule {finding.number}"
        ),
        referenced_segment=segment,
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        finding_type=codes.SCT.Nodule,
        finding_sites=[site],
        algorithm_id=_algorithm(model),
        measurements=[
            Measurement(codes.SCT.Diameter, round(candidate.diameter_mm, 1), codes.UCUM.Millimeter),
            Measurement(codes.SCT.Volume, round(finding.finding.volume_mm3, 1), codes.UCUM.CubicMillimeter),
            Measurement(codes.DCM.CertaintyOfFinding, round(candidate.probability, 6), codes.UCUM.NoUnits),
        ],
    )


def _segment(images: Sequence[Reference], finding: ReportedFinding, seg: Dataset) -> ReferencedSegment:
    return ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=finding.number,
        source_images=_source_images(images, finding.finding),
    )


def _source_images(images: Sequence[Reference], finding: Finding) -> list[SourceImageForSegmentation]:
    """Name the source images on which the finding has voxels, each object once with its frames."""
    frames: dict[tuple[str, str], list[int]] = {}
    for image in (images[number] for number in finding.slices):
        numbers = frames.setdefault((image.sop_class, image.sop_instance), [])
        if image.frame is not None:
            numbers.append(image.frame)
    return [
        SourceImageForSegmentation(sop_class, instance, sorted(numbers) or None)
        for (sop_class, instance), numbers in frames.items()
    ]


def _placeholder(volume: Volume, model: ModelInfo) -> MeasurementsAndQualitativeEvaluations:
    """A group that the library insists on; `_content` takes it out again."""
    uid = result_uid(volume.uid, model, "none")
    return MeasurementsAndQualitativeEvaluations(TrackingIdentifier(uid=uid, identifier="none"))


def _evaluations(volume: Volume, *, without: bool) -> ContainerContentItem:
    """Return the qualitative evaluations (TID 1500 rows 11 to 13): what was not detected, and a comment a note."""
    items: list[CodeContentItem | TextContentItem] = []
    if without:
        what = codes.SCT.Lung if volume.has_no_lung else codes.SCT.Nodule
        items.append(CodeContentItem(what, _NOT_DETECTED, RelationshipTypeValues.CONTAINS))
    items += [
        TextContentItem(codes.DCM.Comment, sentence, RelationshipTypeValues.CONTAINS)
        for _, sentence in volume.notes
    ]
    evaluations = ContainerContentItem(
        name=Code("C0034375", "UMLS", "Qualitative Evaluations"),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    evaluations.ContentSequence = ContentSequence(items)
    return evaluations
