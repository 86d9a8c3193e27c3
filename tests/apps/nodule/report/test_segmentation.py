from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.segmentation import label_map, nifti, segmentation, tracking_uid


def voxels_mm(seg: Dataset, number: int) -> np.ndarray:
    """LPS positions of a segment's voxels, from the frames' own positions (DICOM PS3.3 C.7.6.2.1.1)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    frames = bits[: seg.NumberOfFrames * seg.Rows * seg.Columns].reshape(-1, seg.Rows, seg.Columns)
    edges_mm = []
    for frame_HW, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        holder = group if "SegmentIdentificationSequence" in group else shared
        if holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            row, column = np.nonzero(frame_HW)
            assert len(row) > 0
            along = np.outer(column * column_mm, orientation[:3]) + np.outer(row * row_mm, orientation[3:])
            edges_mm.append(origin + along)
    return np.concatenate(edges_mm)


def mask_mm(volume: Volume, finding: Finding) -> np.ndarray:
    return volume.to_world(np.argwhere(finding.mask_DHW) + np.array(finding.corner_DHW))


def assert_lies_on_findings(seg: Dataset, volume: Volume, findings: list[Finding]) -> None:
    assert len(seg.SegmentSequence) == len(findings) > 0
    for number, finding in enumerate(findings, start=1):
        voxels = voxels_mm(seg, number)
        expected = mask_mm(volume, finding)
        assert len(voxels) == len(expected)
        assert np.abs(np.sort(voxels, axis=0) - np.sort(expected, axis=0)).max() < 0.01
        off = (voxels.mean(axis=0) - np.array(finding.candidate.centre_mm)) @ np.linalg.inv(
            volume.affine[:3, :3]
        ).T
        assert np.abs(off).max() <= 0.5


@pytest.mark.parametrize("shear_y", [0.0, 0.6], ids=["upright", "tilted gantry"])
def test_pixels_lie_on_the_findings(
    build: Callable[..., Volume],
    find_two: Callable[[Volume], list[Finding]],
    model: ModelInfo,
    shear_y: float,
) -> None:
    volume = build(shear_y=shear_y)
    findings = find_two(volume)
    seg = segmentation(volume, findings, model)
    assert_lies_on_findings(seg, volume, findings)
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for frame in seg.PerFrameFunctionalGroupsSequence
        for item in frame.DerivationImageSequence[0].SourceImageSequence
    }
    planes = {index for f in findings for index in np.argwhere(f.mask_DHW)[:, 0] + f.corner_DHW[0]}
    assert referenced == {str(volume.sources[plane].SOPInstanceUID) for plane in planes}


def test_pixels_lie_on_the_findings_of_an_enhanced_source(
    enhanced: Volume, find_two: Callable[[Volume], list[Finding]], model: ModelInfo
) -> None:
    findings = find_two(enhanced)
    seg = segmentation(enhanced, findings, model)
    assert_lies_on_findings(seg, enhanced, findings)
    frames = enhanced.sources[0].PerFrameFunctionalGroupsSequence
    groups = seg.PerFrameFunctionalGroupsSequence
    assert len(groups) == 3 + 5
    for group in groups:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert item.ReferencedSOPInstanceUID == enhanced.sources[0].SOPInstanceUID
        source = frames[int(item.ReferencedFrameNumber) - 1].PlanePositionSequence[0]
        assert source.ImagePositionPatient == group.PlanePositionSequence[0].ImagePositionPatient


def test_a_slice_put_in_by_intake_keeps_its_position(
    volume: Volume, make_ball: Callable[..., Finding], model: ModelInfo
) -> None:
    # Where a slice was missing, intake repeats a neighbour's header: the grid says where the pixels lie.
    sources = list(volume.sources)
    sources[12] = sources[11]
    patched = Volume(volume.hu_DHW, volume.affine, volume.uid, tuple(sources))
    finding = make_ball(patched, (12, 30, 14), 8.0, 0.9)
    assert_lies_on_findings(segmentation(patched, [finding], model), patched, [finding])


def test_overlapping_findings_keep_all_their_voxels(
    volume: Volume, make_ball: Callable[..., Finding], model: ModelInfo
) -> None:
    findings = [make_ball(volume, (12, 30, 14), 8.0, 0.9), make_ball(volume, (13, 33, 16), 8.0, 0.8)]
    assert np.count_nonzero(label_map(volume, findings)) < sum(int(f.mask_DHW.sum()) for f in findings)
    assert_lies_on_findings(segmentation(volume, findings, model), volume, findings)


def test_segments_say_what_they_are(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    seg = segmentation(volume, findings, model)
    assert (seg.SegmentationType, seg.Modality, seg.SegmentsOverlap) == ("BINARY", "SEG", "NO")
    for index, segment in enumerate(seg.SegmentSequence):
        assert segment.SegmentLabel == f"Nodule {index + 1}"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "27925004"
        assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
        assert segment.TrackingUID == tracking_uid(volume, model, index)
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Triptych compact", "1.0.0")


def test_no_finding_is_refused(volume: Volume, model: ModelInfo) -> None:
    with pytest.raises(ValueError, match="a Segmentation needs at least one finding"):
        segmentation(volume, [], model)


def test_label_map_counts_beyond_a_byte(volume: Volume) -> None:
    one = np.ones((1, 1, 1), bool)
    many = [Finding(Candidate((0, 0, 0), 1, 0.5), one, (n // 64, n % 64, 3), 1.0) for n in range(300)]
    labels_DHW = label_map(volume, many)
    assert labels_DHW.dtype == np.uint16
    assert labels_DHW[299 // 64, 299 % 64, 3] == 300


@pytest.mark.parametrize("count", [0, 2])
def test_nifti_is_read_back_in_place_by_simpleitk(
    tmp_path: Path, volume: Volume, findings: list[Finding], count: int
) -> None:
    data = nifti(volume, findings[:count])
    assert data == nifti(volume, findings[:count])
    assert data[4:8] == bytes(4)
    path = tmp_path / "seg.nii.gz"
    path.write_bytes(data)
    image = sitk.ReadImage(str(path))
    labels_DHW = sitk.GetArrayFromImage(image)
    assert np.array_equal(labels_DHW, label_map(volume, findings[:count]))
    assert len(np.unique(labels_DHW)) == count + 1
    for d, h, w in ((0, 0, 0), (39, 0, 0), (0, 63, 0), (0, 0, 63)):
        position = image.TransformIndexToPhysicalPoint((w, h, d))
        assert np.allclose(position, volume.to_world(np.array([[d, h, w]]))[0], atol=1e-4)


def test_nifti_keeps_a_sheared_grid(
    build: Callable[..., Volume], find_two: Callable[[Volume], list[Finding]]
) -> None:
    volume = build(shear_y=0.6)
    header = gzip.decompress(nifti(volume, find_two(volume)))[:348]
    rows = np.frombuffer(header[280:328], "<f4").reshape(3, 4)
    ras = np.diag([-1, -1, 1]) @ volume.affine[:3, [2, 1, 0, 3]]
    assert np.allclose(rows, ras, atol=1e-5)


def test_findings_on_one_slice_each_name_its_image(
    volume: Volume, make_ball: Callable[..., Finding], model: ModelInfo
) -> None:
    side_by_side = [make_ball(volume, (12, 30, 14), 8.0, 0.9), make_ball(volume, (12, 40, 48), 8.0, 0.8)]
    seg = segmentation(volume, side_by_side, model)
    named = {
        str(source.ReferencedSOPInstanceUID)
        for group in seg.PerFrameFunctionalGroupsSequence
        for source in group.DerivationImageSequence[0].SourceImageSequence
    }
    assert len(seg.PerFrameFunctionalGroupsSequence) == 2 * len(named)
    assert named == {str(volume.sources[d].SOPInstanceUID) for d in (11, 12, 13)}
