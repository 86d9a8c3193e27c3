"""A small synthetic CT with two findings, as intake would hand it to the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate, Finding

SHAPE = (40, 64, 64)
SPACING = (2.5, 0.8, 0.8)
UID_ROOT = "1.2.826.0.1.3680043.8.498.7"


def grid(shear_y: float = 0.0) -> np.ndarray:
    """An axial grid; `shear_y` mm more y per slice makes it a tilted gantry's."""
    affine = np.eye(4)
    affine[:3, 0] = (0, shear_y, SPACING[0])
    affine[:3, 1] = (0, SPACING[1], 0)
    affine[:3, 2] = (SPACING[2], 0, 0)
    affine[:3, 3] = (-25.2, -30.0, -80.0)
    return affine


def header(affine: np.ndarray, plane: int, patient: dict[str, str]) -> Dataset:
    """The header of one CT slice, with the patient attributes given and no others."""
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.SOPClassUID = CTImageStorage
    item.SOPInstanceUID = f"{UID_ROOT}.3.{plane + 1}"
    item.StudyInstanceUID = f"{UID_ROOT}.1"
    item.SeriesInstanceUID = f"{UID_ROOT}.2"
    item.FrameOfReferenceUID = f"{UID_ROOT}.4"
    item.Modality = "CT"
    item.Manufacturer = "Maker"
    item.StudyDate, item.StudyTime = "20190304", "101112"
    item.SeriesDate, item.SeriesTime = "20190304", "102030.5"
    item.SeriesNumber, item.InstanceNumber = 2, SHAPE[0] - plane
    item.Rows, item.Columns = SHAPE[1:]
    item.PixelSpacing = [SPACING[1], SPACING[2]]
    item.SliceThickness = SPACING[0]
    item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    item.ImagePositionPatient = [round(float(v), 6) for v in affine[:3, 3] + plane * affine[:3, 0]]
    for keyword, value in patient.items():
        setattr(item, keyword, value)
    return item


def make_volume(shear_y: float = 0.0, **patient: str) -> Volume:
    """Soft tissue around two lungs, so that sides are known."""
    hu_DHW = np.full(SHAPE, 30, np.int16)
    hu_DHW[:, 8:56, 4:28] = -850
    hu_DHW[:, 8:56, 36:60] = -850
    affine = grid(shear_y)
    patient = {"PatientName": "Doe^Jane", "PatientID": "P1", **patient}
    sources = tuple(header(affine, plane, patient) for plane in range(SHAPE[0]))
    return Volume(hu_DHW, affine, f"{UID_ROOT}.2", sources, (("gap_filled", "One slice was missing."),))


def ball(
    volume: Volume, index: tuple[float, float, float], diameter_mm: float, probability: float
) -> Finding:
    """A round finding at a fractional index (d, h, w)."""
    centre_mm = volume.to_world(np.array([index]))[0]
    every = np.argwhere(np.ones(volume.hu_DHW.shape, bool))
    near = every[np.linalg.norm(volume.to_world(every) - centre_mm, axis=1) <= diameter_mm / 2]
    corner = near.min(axis=0)
    mask = np.zeros(near.max(axis=0) - corner + 1, bool)
    mask[tuple((near - corner).T)] = True
    x, y, z = (float(v) for v in centre_mm)
    volume_mm3 = float(mask.sum() * volume.voxel_mm3)
    d, h, w = (int(v) for v in corner)
    return Finding(Candidate((x, y, z), diameter_mm, probability), mask, (d, h, w), volume_mm3)


@pytest.fixture
def model() -> ModelInfo:
    return SimpleNamespace(name="compact", version="1.0.0", threshold=0.4)


@pytest.fixture
def volume() -> Volume:
    return make_volume()


@pytest.fixture
def findings(volume: Volume) -> list[Finding]:
    return two_findings(volume)


def two_findings(volume: Volume) -> list[Finding]:
    """One in each lung; the first is the likelier."""
    return [ball(volume, (12, 30, 14), 8.0, 0.91), ball(volume, (29, 40, 48), 12.0, 0.55)]


@pytest.fixture
def build() -> Callable[..., Volume]:
    return make_volume


@pytest.fixture
def find_two() -> Callable[[Volume], list[Finding]]:
    return two_findings


@pytest.fixture
def make_ball() -> Callable[..., Finding]:
    return ball


@pytest.fixture
def enhanced() -> Volume:
    """The same scan as one enhanced multi-frame object whose frames are stored from head to feet."""
    plain = make_volume()
    return Volume(plain.hu_DHW, plain.affine, plain.uid, (multiframe(plain, range(SHAPE[0] - 1, -1, -1)),))


@pytest.fixture
def several_objects() -> Volume:
    """The same scan as four enhanced objects of ten frames each, the uppermost first."""
    plain = make_volume()
    objects = [multiframe(plain, range(first, first + 10)) for first in (30, 20, 10, 0)]
    for number, item in enumerate(objects):
        item.SOPInstanceUID = f"{UID_ROOT}.3.10{number}"
    frames = tuple((3 - d // 10, d % 10) for d in range(SHAPE[0]))
    return Volume(plain.hu_DHW, plain.affine, plain.uid, tuple(objects), frames=frames)


def multiframe(plain: Volume, slices: Iterable[int]) -> Dataset:
    """An Enhanced CT object whose frames are the slices given, in that order."""
    first = plain.sources[0]
    item = header(plain.affine, 0, {"PatientName": "Doe^Jane", "PatientID": "P1"})
    item.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    item.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for d in slices:
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = plain.sources[d].ImagePositionPatient
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    item.PerFrameFunctionalGroupsSequence = frames
    item.NumberOfFrames = len(frames)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(item, keyword)
    return item
