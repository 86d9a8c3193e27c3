"""The findings' voxels: a DICOM Segmentation, or a NIfTI label map where the source is not DICOM."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from nibabel.nifti1 import Nifti1Header
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.report.references import name_sources, plane_of, references, slice_headers
from apps.nodule.report.source import MANUFACTURER, stamp
from apps.nodule.report.uids import result_uid

SERIES_NUMBER = 9101
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NIFTI_BYTES = 352
# The colour of the outlines in the other results, #ffb82e.
_AMBER = hd.color.CIELabColor(79.3, 14.8, 73.0)


def tracking_uid(volume: Volume, model: ModelInfo, index: int) -> str:
    """Return the UID by which SR and SEG name the same finding; index counts from 0."""
    return result_uid(volume.uid, model, "tracking", index)


def segmentation(volume: Volume, findings: Sequence[Finding], model: ModelInfo) -> Dataset:
    """Return the findings as a Segmentation (DICOM PS3.3 A.51): BINARY, one segment a finding.

    Segments follow the order of `findings`, numbered from 1; frames without a voxel are left out. Positions are
    the source's own, slice by slice, so a tilted gantry stays what it was. Raises ValueError on no finding: a
    Segmentation has at least one segment.
    """
    if not findings:
        raise ValueError("a Segmentation needs at least one finding")
    slices = _touched(findings)
    headers = slice_headers(volume, model)
    plane = plane_of(volume)
    seg = hd.seg.Segmentation(
        source_images=headers,
        pixel_array=_pixels(volume, findings, slices),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(volume, model, index) for index in range(len(findings))],
        series_instance_uid=result_uid(volume.uid, model, "seg series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uid(volume.uid, model, "seg instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model.name,
        software_versions=model.version,
        device_serial_number=model.version,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="LUNG_NODULES",
        content_description="Lung nodules found by Triptych",
        series_description="Triptych lung nodules SEG",
        plane_positions=[
            hd.PlanePositionSequence("PATIENT", headers[d].ImagePositionPatient) for d in slices
        ],
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", plane.orientation),
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=plane.spacing_mm,
            slice_thickness=plane.thickness_mm,
            spacing_between_slices=plane.gap_mm,
        ),
        omit_empty_frames=True,
    )
    name_sources(seg, references(volume, model))
    _settle_dimension_uid(seg, result_uid(volume.uid, model, "seg dimensions"))
    stamp(seg, volume.sources[0], model)
    return seg


def _touched(findings: Sequence[Finding]) -> np.ndarray:
    """Indices of the slices on which a finding has a voxel, (S,) rising."""
    return np.array(sorted({number for finding in findings for number in finding.slices}))


def label_map(volume: Volume, findings: Sequence[Finding]) -> np.ndarray:
    """Return (D, H, W) uint8 or uint16: 0, or the number (from 1) of the likelier finding that covers a voxel."""
    labels_DHW = np.zeros(volume.hu_DHW.shape, np.uint8 if len(findings) < 256 else np.uint16)
    for number in range(len(findings), 0, -1):
        finding = findings[number - 1]
        labels_DHW[finding.window][finding.mask_DHW] = number
    return labels_DHW


def _pixels(volume: Volume, findings: Sequence[Finding], slices: np.ndarray) -> np.ndarray:
    """Return (S, H, W) labels, or (S, H, W, N) masks where findings overlap: both keep every voxel."""
    labels_SHW = label_map(volume, findings)[slices]
    covered = int(np.count_nonzero(labels_SHW))
    if covered == sum(int(np.count_nonzero(finding.mask_DHW)) for finding in findings):
        return labels_SHW
    masks_SHWN = np.zeros((*labels_SHW.shape, len(findings)), np.uint8)
    for index, finding in enumerate(findings):
        depth, height, width = finding.window
        for plane, mask_HW in zip(range(depth.start, depth.stop), finding.mask_DHW, strict=True):
            row = np.searchsorted(slices, plane)
            if mask_HW.any():
                masks_SHWN[row, height, width, index] = mask_HW
    return masks_SHWN


def _describe(volume: Volume, model: ModelInfo, index: int) -> SegmentDescription:
    return SegmentDescription(
        segment_number=index + 1,
        segment_label=f"Nodule {index + 1}",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=f"Triptych {model.name}", family=codes.DCM.ArtificialIntelligence, version=model.version
        ),
        anatomic_regions=[codes.SCT.Lung],
        tracking_id=f"Nodule {index + 1}",
        tracking_uid=tracking_uid(volume, model, index),
        display_color=_AMBER,
    )


def _settle_dimension_uid(seg: Dataset, uid: str) -> None:
    """Replace the random DimensionOrganizationUID that the library drew."""
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for item in seg.DimensionIndexSequence:
        item.DimensionOrganizationUID = uid


def nifti(volume: Volume, findings: Sequence[Finding]) -> bytes:
    """Return the label map as .nii.gz (NIfTI-1, RAS mm), the same bytes each time (no clock in the gzip header)."""
    labels_DHW = label_map(volume, findings)
    raw = _nifti_header(volume, labels_DHW) + labels_DHW.tobytes()
    return gzip.compress(raw, compresslevel=6, mtime=0)


def _nifti_header(volume: Volume, labels_DHW: np.ndarray) -> bytes:
    """Return the 352 bytes before the voxels (nifti1.h); the affine goes into sform, RAS, sheared or not."""
    header = Nifti1Header(endianness="<")
    header.set_data_shape(labels_DHW.shape[::-1])
    header.set_data_dtype(labels_DHW.dtype)
    header.set_xyzt_units("mm")
    header.set_sform(TO_RAS @ volume.affine @ np.eye(4)[[2, 1, 0, 3]], code=int(volume.is_oriented))
    header["pixdim"] = [1, *volume.spacing_mm[::-1], 0, 0, 0, 0]
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"], header["magic"], header["regular"] = NIFTI_BYTES, b"n+1", b""
    return header.binaryblock.ljust(NIFTI_BYTES, b"\0")
