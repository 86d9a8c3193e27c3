"""Which DICOM series are processed: the rules, each with the reason it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from apps.nodule.data.frames import Frame, count_frames, frames_of, group_item
from apps.nodule.data.geometry import degrees_off_axial, grid_of
from apps.nodule.data.headers import Header, Pixels, is_decodable
from apps.nodule.data.pixels import rescales_of
from apps.nodule.data.reasons import QUARANTINED, Reason, accept, fault, skip
from core.errors import ItemRefused

CT_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image
})  # fmt: skip
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMAGELESS_MODALITIES = frozenset(
    ("SR", "SEG", "PR", "KO", "DOC", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "FID", "PLAN", "M3D")
)
LOCALISERS = frozenset({"LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
PROJECTIONS = frozenset(
    {"MIP", "MINIP", "MAX_IP", "MIN_IP", "MAXIMUM", "MINIMUM", "PROJECTION", "PROJECTION IMAGE", "VOLREN"}
    | {"VRT", "SSD", "VOLUME_RENDER", "SURFACE_RENDER"}
)
OTHER_QUANTITIES = frozenset(
    {"IODINE", "MATERIAL_DENSITY", "EFF_Z", "EFFECTIVE_Z", "ELECTRON_DENSITY", "PERFUSION"}
)
HOUNSFIELD_TYPES = frozenset({"", "HU", "US"})  # US: unspecified

MIN_SLICES = 20
MIN_EXTENT_MM = 40.0
MAX_STEP_MM = 7.5
MAX_OFF_AXIAL_DEGREES = 45.0
MAX_VOXELS = 4_000_000_000  # 8 GB as int16


def axial_images(headers: Sequence[Header]) -> list[Header]:
    """Return the CT images of a series that may be slices: no localiser, report or capture among them."""
    return [header for header in headers if _skip_of(header) is None]


def judge(headers: Sequence[Header]) -> Reason:
    """Return the verdict on the files of one series: rules first, then faults, then geometry."""
    images = axial_images(headers)
    if not images:
        verdict = _skip_of(headers[0])
        assert verdict is not None
        return verdict
    return _fault_of(images) or _judge_geometry(images)


def _skip_of(header: Header) -> Reason | None:
    sop_class, modality = header.text("SOPClassUID"), header.text("Modality").upper()
    if modality in IMAGELESS_MODALITIES:
        return skip("no_image_object")
    if sop_class == SECONDARY_CAPTURE or sop_class.startswith(SECONDARY_CAPTURE + "."):
        return skip("secondary_capture")
    if modality not in ("CT", ""):
        return skip("not_ct")
    if sop_class and sop_class not in CT_CLASSES:
        return skip("no_image_object" if "Rows" not in header.dataset else "not_ct")
    if not sop_class and not modality:
        return skip("not_ct")
    return _skip_of_type(header)


def _skip_of_type(header: Header) -> Reason | None:
    value = header.dataset.get("ImageType") or []
    types = {str(part).strip().upper() for part in ([value] if isinstance(value, str) else value)}
    if types & LOCALISERS:
        return skip("localiser")
    if types & PROJECTIONS:
        return skip("projection")
    transformation = group_item(header.dataset, 0, "PixelValueTransformationSequence") or header.dataset
    rescale_type = str(transformation.get("RescaleType") or "").strip().upper()
    if types & OTHER_QUANTITIES or rescale_type not in HOUNSFIELD_TYPES:
        return skip("not_hounsfield")
    return None


def _fault_of(images: Sequence[Header]) -> Reason | None:
    total = len(images)
    for code, keyword, name in (
        ("mixed_patients", "PatientID", "patients"),
        ("mixed_studies", "StudyInstanceUID", "studies"),
        ("mixed_frames_of_reference", "FrameOfReferenceUID", "frames"),
    ):
        values = {image.text(keyword) for image in images}
        if len(values) > 1:
            return fault(code, **{name: len(values)})
    cut = sum(image.pixels is Pixels.CUT for image in images)
    if cut:
        return fault("truncated", files=cut, total=total)
    absent = sum(image.pixels is Pixels.ABSENT for image in images)
    if absent:
        return fault("no_pixel_data", files=absent, total=total)
    if not all(is_decodable(syntax) for syntax in {image.syntax for image in images}):
        return fault("unknown_syntax")
    if not all(_has_plain_pixels(image) for image in images):
        return fault("unsupported_pixels")
    return None


def _has_plain_pixels(image: Header) -> bool:
    """Tell whether a pixel is one number on a grey scale: neither colours nor indices of a palette."""
    grey = image.text("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2", "")
    return grey and image.dataset.get("SamplesPerPixel", 1) == 1


def _judge_geometry(images: Sequence[Header]) -> Reason:
    slices = sum(count_frames(image.dataset) for image in images)
    if slices < MIN_SLICES:
        return skip("too_few_slices", slices=slices, limit=MIN_SLICES)
    try:
        datasets = [image.dataset for image in images]
        frames = frames_of(datasets)
        degrees = _least_off_axial(frames)
        if degrees > MAX_OFF_AXIAL_DEGREES:
            return skip("not_axial", degrees=degrees, limit=MAX_OFF_AXIAL_DEGREES)
        rescales_of(datasets, frames)
        grid = grid_of(frames)
        verdict = judge_extent(len(grid.places), grid.step_mm) or judge_size(len(grid.places), *grid.shape_HW)
        return verdict or accept("ct_series", slices=len(grid.places))
    except ItemRefused as refusal:
        return Reason(QUARANTINED, refusal.code, refusal.sentence)


def _least_off_axial(frames: list[Frame]) -> float:
    return min(degrees_off_axial(frame.orientation) for frame in frames)


def judge_extent(slices: int, step_mm: float) -> Reason | None:
    """Return the rule that leaves a regular stack aside by its number of slices, length or step, or None."""
    if slices < MIN_SLICES:
        return skip("too_few_slices", slices=slices, limit=MIN_SLICES)
    if slices * step_mm < MIN_EXTENT_MM:
        return skip("too_short", extent=slices * step_mm, limit=MIN_EXTENT_MM)
    if step_mm > MAX_STEP_MM:
        return skip("too_coarse", step=step_mm, limit=MAX_STEP_MM)
    return None


def judge_size(*shape: int) -> Reason | None:
    """Return the fault of a volume too large to hold, or None."""
    voxels = math.prod(shape)
    if voxels > MAX_VOXELS:
        return fault("too_large", billions=voxels / 1e9, limit=MAX_VOXELS / 1e9)
    return None
