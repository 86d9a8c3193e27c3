"""Which source image each slice shows, and plain stand-ins for them from which highdicom builds its results.

highdicom reads some thirty attributes from the sources that it is given and fails on any that is absent, malformed
or only nearly equal between slices; it takes one multi-frame object at most. So it gets one plain CT header a slice,
made from the grid and from what was checked; the true references are put in afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage

from apps.nodule.data.frames import frames_of, group_item, is_multiframe
from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.report.source import MAY_BE_EMPTY, study_uid, valid_uid
from apps.nodule.report.uids import result_uid
from core.errors import ItemRefused

SAME_NUMBERS = 1e-3
LOSSLESS, LOSSY = "00", "01"


@dataclass(frozen=True)
class Reference:
    """One source image: class and UID of its object, and the frame in it from 1 (None: the object is one image)."""

    sop_class: UID
    sop_instance: UID
    frame: int | None = None

    def write_to(self, item: Dataset) -> Dataset:
        """Set the reference in an item (PS3.3 table 10-3) and return it."""
        item.ReferencedSOPClassUID = self.sop_class
        item.ReferencedSOPInstanceUID = self.sop_instance
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


def references(volume: Volume, model: ModelInfo) -> list[Reference]:
    """Return the source image of each slice in D order; a UID that the source lacks is derived."""
    objects = [_object(volume, source, model, index) for index, source in enumerate(volume.sources)]
    return [
        Reference(
            objects[source].sop_class, objects[source].sop_instance, None if frame is None else frame + 1
        )
        for source, frame in _images(volume)
    ]


def _object(volume: Volume, source: Dataset, model: ModelInfo, index: int) -> Reference:
    uid = valid_uid(source, "SOPInstanceUID")
    return Reference(
        valid_uid(source, "SOPClassUID") or CTImageStorage,
        uid or UID(result_uid(volume.uid, model, "source instance", index)),
    )


def _images(volume: Volume) -> list[tuple[int, int | None]]:
    """For each slice its object's number among the sources, and its frame in it from 0 (None: it has but one)."""
    multi = ["PerFrameFunctionalGroupsSequence" in source for source in volume.sources]
    depth = volume.hu_DHW.shape[0]
    if volume.frames:
        return [(source, frame if multi[source] else None) for source, frame in volume.frames]
    if len(volume.sources) == depth:
        return [(d, 0 if multi[d] else None) for d in range(depth)]
    try:  # a volume made by hand: its slices are matched by their positions
        frames = frames_of(list(volume.sources))
    except ItemRefused:
        return [(0, None)] * depth
    theirs_F3 = np.array([frame.position_mm for frame in frames])
    nearest = [int(np.linalg.norm(theirs_F3 - ours_3, axis=1).argmin()) for ours_3 in _corners(volume)]
    return [(frames[n].source, frames[n].index if multi[frames[n].source] else None) for n in nearest]


def _corners(volume: Volume) -> np.ndarray:
    """Position of the first pixel of each slice on the grid, (D, 3) mm."""
    depth = volume.hu_DHW.shape[0]
    return volume.to_world(np.column_stack([np.arange(depth), np.zeros((depth, 2))]))


def slice_headers(volume: Volume, model: ModelInfo) -> list[Dataset]:
    """Return one plain CT header a slice in D order, each with a stand-in SOPInstanceUID that says its slice.

    Positions, orientation and spacing are the source's own numbers where the grid agrees with them, so that a tilted
    gantry stays what it was; patient attributes are empty (`stamp` fills in the true ones afterwards).
    """
    plane = plane_of(volume)
    common = _common(volume, model)
    headers = []
    for d, position in enumerate(_positions(volume)):
        header = Dataset()
        header.update(common)
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, UID(f"2.25.{d + 1}")
        header.ImagePositionPatient = [float(value) + 0.0 for value in position]
        header.ImageOrientationPatient = plane.orientation
        header.PixelSpacing = plane.spacing_mm
        header.SliceThickness = plane.thickness_mm
        headers.append(header)
    return headers


def _common(volume: Volume, model: ModelInfo) -> Dataset:
    source = volume.sources[0]
    header = Dataset()
    for keyword in MAY_BE_EMPTY:
        setattr(header, keyword, None)
    header.Modality = "CT"
    header.StudyInstanceUID = study_uid(source, model)
    header.SeriesInstanceUID = UID(str(source.SeriesInstanceUID))
    frame = valid_uid(source, "FrameOfReferenceUID")
    header.FrameOfReferenceUID = frame or UID(result_uid(volume.uid, model, "frame of reference"))
    header.PositionReferenceIndicator = None
    header.Rows, header.Columns = volume.hu_DHW.shape[1:]
    header.update(lossy_compression(volume))
    return header


def lossy_compression(volume: Volume) -> Dataset:
    """Return LossyImageCompression and, where the sources give both, its ratio and method (PS3.3 C.7.6.1.1.5)."""
    item = Dataset()
    marks = [source for source in volume.sources if str(source.get("LossyImageCompression")).strip() == LOSSY]
    item.LossyImageCompression = LOSSY if marks else LOSSLESS
    for source in marks[:1]:
        ratio, method = (source.get(f"LossyImageCompression{name}") for name in ("Ratio", "Method"))
        if ratio and method:
            item.LossyImageCompressionRatio, item.LossyImageCompressionMethod = ratio, method
    return item


@dataclass(frozen=True)
class Plane:
    """Directions, spacing and thickness that all slices of a result share, as DICOM writes them."""

    orientation: list[float]
    spacing_mm: list[float]
    thickness_mm: float
    gap_mm: float


def plane_of(volume: Volume) -> Plane:
    """Return what the grid says, in the source's own numbers where those differ by rounding only."""
    source = volume.sources[0]
    row = volume.affine[:3, 2] / volume.spacing_mm[2]
    column = volume.affine[:3, 1] / volume.spacing_mm[1]
    # Rounding keeps what a decimal string holds; adding zero turns -0.0 into 0.0.
    directions = np.round(np.concatenate([row, column]), 10) + 0.0
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    gap_mm = round(abs(float(volume.affine[:3, 0] @ normal / np.linalg.norm(normal))), 8)
    thickness = _own(source, "PixelMeasuresSequence", "SliceThickness")
    measured = thickness is not None and thickness.shape == (1,) and 0 < thickness[0] < np.inf
    return Plane(
        _agreed(directions, _own(source, "PlaneOrientationSequence", "ImageOrientationPatient")),
        _agreed(np.round(volume.spacing_mm[1:], 8), _own(source, "PixelMeasuresSequence", "PixelSpacing")),
        float(thickness[0]) if thickness is not None and measured else gap_mm,
        gap_mm,
    )


def _own(source: Dataset, group: str, keyword: str, frame: int = 0) -> np.ndarray | None:
    """Return an attribute of the source, (n,), from a frame's own groups, the shared ones or the header itself."""
    item = group_item(source, frame, group) if is_multiframe(source) else source
    value = None if item is None else item.get(keyword)
    try:
        return None if value is None or value == "" else np.atleast_1d(np.asarray(value, float))
    except (TypeError, ValueError):
        return None


def _agreed(ours: np.ndarray, theirs: np.ndarray | None) -> list[float]:
    """Return the source's numbers if the grid's differ from them by rounding only, else the grid's."""
    if theirs is None or theirs.shape != ours.shape or not np.allclose(ours, theirs, atol=SAME_NUMBERS):
        return [float(value) for value in ours]
    return [float(value) + 0.0 for value in theirs]


def _positions(volume: Volume) -> np.ndarray:
    """ImagePositionPatient of each slice, (D, 3) mm: the source's own where it has one near the grid's."""
    ours_D3 = _corners(volume)
    near_mm = 0.5 * float(volume.spacing_mm[0])
    for d, (source, frame) in enumerate(_images(volume)):
        theirs = _own(volume.sources[source], "PlanePositionSequence", "ImagePositionPatient", frame or 0)
        if theirs is not None and theirs.shape == (3,) and np.linalg.norm(theirs - ours_D3[d]) < near_mm:
            ours_D3[d] = theirs
    return ours_D3


def name_sources(seg: Dataset, images: Sequence[Reference]) -> None:
    """Replace the stand-ins in a Segmentation by the true source images, and list each object once."""
    objects = dict.fromkeys(Reference(image.sop_class, image.sop_instance) for image in images)
    seg.SourceImageSequence = [image.write_to(Dataset()) for image in objects]
    series = seg.ReferencedSeriesSequence[0]
    series.ReferencedInstanceSequence = [image.write_to(Dataset()) for image in objects]
    written: set[int] = set()
    for group in seg.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or []:
            for item in derivation.SourceImageSequence:
                # highdicom gives the findings of one slice one item in common: it is written once
                if id(item) not in written:
                    d = int(str(item.ReferencedSOPInstanceUID).rpartition(".")[2]) - 1
                    images[d].write_to(item)
                    written.add(id(item))


def evidence(volume: Volume, model: ModelInfo) -> list[Dataset]:
    """Return a header with nothing but references for each object of the sources, as a report lists them."""
    common = _common(volume, model)
    named = []
    for image in dict.fromkeys((r.sop_class, r.sop_instance) for r in references(volume, model)):
        header = Dataset()
        header.update(common)
        header.SOPClassUID, header.SOPInstanceUID = image
        named.append(header)
    return named
