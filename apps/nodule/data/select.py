"""Which DICOM series are processed: the rules, each with the reason it gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.nodule.data.frames import Frame, count_frames, frames_of
from apps.nodule.data.geometry import SAME_PLACE_MM, Grid, degrees_off_axial, grid_of
from apps.nodule.data.headers import Header, Pixels, is_decodable
from apps.nodule.data.modality import Modality, is_named_hounsfield, rescales_of
from apps.nodule.data.parts import Stack, interleaved_grids, offset_mm, stacks_of
from apps.nodule.data.plan import Plan, plan_of
from apps.nodule.data.slices import MAX_OFF_AXIAL_DEGREES, has_plain_pixels, slices_among
from apps.nodule.data.values import values_are_hounsfield
from apps.nodule.reasons import Note, Reason, accept, fault, note, skip, verdict_of
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

MIN_SLICES = 20
MIN_EXTENT_MM = 40.0
MAX_STEP_MM = 7.5
MAX_VOXELS = 4_000_000_000  # 8 GB as int16


@dataclass(frozen=True)
class Part:
    """The verdict on a series, or on one of the stacks of images that it holds.

    slices: (header in the list given, frame in its object), both from 0; empty unless it was judged as a stack.
    left_out: headers that are not slices. notes: what a reader should know. number: from 1, or 0 for a whole series.
    plan: how an accepted stack is decoded.
    """

    reason: Reason
    slices: tuple[tuple[int, int], ...] = ()
    left_out: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()
    number: int = 0
    plan: Plan | None = None


def judge(headers: Sequence[Header]) -> list[Part]:
    """Return the verdicts on the files of one series, within `quiet_libraries`: one, or one for each of its parts.

    Rules come first, then faults, then geometry. Pixels are read only where the header calls the values
    another quantity than Hounsfield units: a few images then decide.
    """
    # By instance, not by file name: nothing may depend on where a file lay.
    order = sorted(range(len(headers)), key=lambda n: (headers[n].text("SOPInstanceUID"), n))
    able = [n for n in order if _skip_of(headers[n]) is None]
    if not able:
        verdict = _skip_of(headers[0])
        assert verdict is not None
        return [Part(verdict)]
    owners = _mixed_owners([headers[n] for n in able])
    if owners is not None:
        return [Part(owners)]
    kept = {id(image) for image in slices_among([headers[n] for n in able])}
    numbers = [n for n in able if id(headers[n]) in kept]
    left_out = tuple(n for n in range(len(headers)) if n not in set(numbers))
    notes = (note("others_dropped", images=len(left_out)),) if left_out else ()
    parts = _judge_images([headers[n] for n in numbers], numbers)
    return [
        replace(part, notes=(*notes, *part.notes), left_out=left_out if number == 0 else ())
        for number, part in enumerate(parts)
    ]


def _judge_images(images: Sequence[Header], numbers: Sequence[int]) -> list[Part]:
    """Judge images that may be slices; `numbers`: their positions in the list of the series' headers."""
    total = sum(count_frames(image.dataset) for image in images)
    verdict = _fault_of(images)
    if verdict is None and total < MIN_SLICES:
        verdict = skip("too_few_slices", slices=total, limit=MIN_SLICES)
    if verdict is not None:
        return [Part(verdict)]
    datasets = [image.dataset for image in images]
    try:
        frames = frames_of(datasets)
        degrees = min(degrees_off_axial(frame.orientation) for frame in frames)
        if degrees > MAX_OFF_AXIAL_DEGREES:
            return [Part(skip("not_axial", degrees=degrees, limit=MAX_OFF_AXIAL_DEGREES))]
        rescales = rescales_of(datasets, frames)
    except ItemRefused as refusal:
        return [Part(verdict_of(refusal))]
    notes: tuple[Note, ...] = ()
    if not all(is_named_hounsfield(datasets[frame.source], frame.index) for frame in frames):
        if not values_are_hounsfield(images, frames, rescales):
            return [Part(skip("not_hounsfield"))]
        notes = (note("rescale_type"),)
    parts = _judge_stacks(images, frames, rescales, numbers)
    return [replace(part, notes=(*notes, *part.notes)) for part in parts]


def _judge_stacks(
    images: Sequence[Header], frames: list[Frame], rescales: Sequence[Modality], numbers: Sequence[int]
) -> list[Part]:
    known: dict[tuple[tuple[int, int], ...], tuple[Reason, Grid | None]] = {}

    def verdict_and_grid(stack: Sequence[Frame]) -> tuple[Reason, Grid | None]:
        # The order in which a stack was put together decides nothing, and each stack is arranged once.
        ordered = sorted(stack, key=_identity)
        key = tuple(map(_identity, ordered))
        if key not in known:
            known[key] = _judge_stack(images, ordered)
        return known[key]

    stacks = stacks_of(images, frames, lambda stack: verdict_and_grid(stack)[0])
    rescale_of = dict(zip(map(_identity, frames), rescales, strict=True))
    parts = []
    for position, stack in enumerate(stacks, start=1):
        verdict, grid = verdict_and_grid(stack.frames)
        mine = sorted(stack.frames, key=_identity)
        plan = plan_of(images, mine, [rescale_of[_identity(f)] for f in mine], grid) if grid else None
        slices = tuple(sorted((numbers[frame.source], frame.index) for frame in mine))
        notes = _notes_on_frames_of_reference(images, mine)
        if len(stacks) > 1:
            notes = (*_notes_on_split(stacks, position), *notes)
        parts.append(Part(verdict, slices, (), notes, position if len(stacks) > 1 else 0, plan))
    return parts


def _identity(frame: Frame) -> tuple[int, int]:
    return frame.source, frame.index


def _notes_on_split(stacks: Sequence[Stack], position: int) -> tuple[Note, ...]:
    split = note("series_split", parts=len(stacks), by=" and ".join(stacks[0].by), number=position)
    offset = offset_mm(stacks)
    return (split, note("interleaved", offset=offset)) if offset > SAME_PLACE_MM else (split,)


def _frames_of_reference(images: Sequence[Header], frames: Sequence[Frame]) -> Counter[str]:
    """How many images lie in each frame of reference; one that is not named counts as none."""
    named = (images[frame.source].text("FrameOfReferenceUID") for frame in frames)
    return Counter(uid for uid in named if uid)


def _notes_on_frames_of_reference(images: Sequence[Header], frames: Sequence[Frame]) -> tuple[Note, ...]:
    named = _frames_of_reference(images, frames)
    if len(named) > 1:
        return (note("frames_of_reference", frames=len(named)),)
    if named and sum(named.values()) < len(frames):
        return (note("frame_of_reference_absent", images=len(frames) - sum(named.values())),)
    return ()


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
    return skip("not_hounsfield") if types & OTHER_QUANTITIES else None


def _mixed_owners(images: Sequence[Header]) -> Reason | None:
    for code, keyword, name in (
        ("mixed_patients", "PatientID", "patients"),
        ("mixed_studies", "StudyInstanceUID", "studies"),
    ):
        values = {image.text(keyword) for image in images}
        if len(values) > 1:
            return fault(code, **{name: len(values)})
    return None


def _fault_of(images: Sequence[Header]) -> Reason | None:
    total = len(images)
    cut = sum(image.pixels is Pixels.CUT for image in images)
    if cut:
        return fault("truncated", files=cut, total=total)
    absent = sum(image.pixels is Pixels.ABSENT for image in images)
    if absent:
        return fault("no_pixel_data", files=absent, total=total)
    if not all(is_decodable(syntax) for syntax in {image.syntax for image in images}):
        return fault("unknown_syntax")
    if not all(has_plain_pixels(image) for image in images):
        return fault("unsupported_pixels")
    return None


def _judge_stack(images: Sequence[Header], frames: list[Frame]) -> tuple[Reason, Grid | None]:
    """Return the verdict on images as one volume, and their grid where they are accepted."""
    if len(frames) < MIN_SLICES:
        return skip("too_few_slices", slices=len(frames), limit=MIN_SLICES), None
    named = _frames_of_reference(images, frames)
    # A writer that draws a new frame of reference for each image says nothing by it; two stacks in two frames may
    # be a patient who was moved.
    if 1 < len(named) <= len(frames) / 2:
        return fault("mixed_frames_of_reference", frames=len(named)), None
    try:
        grid = grid_of(frames)
    except ItemRefused as refusal:
        grids = interleaved_grids(frames)
        if len(grids) > 1:
            offset = offset_mm([Stack(grid) for grid in grids])
            return fault("interleaved_grids", grids=len(grids), offset=offset), None
        return verdict_of(refusal), None
    verdict = judge_extent(len(grid.slices), grid.step_mm) or judge_size(len(grid.slices), *grid.shape_HW)
    if verdict is not None:
        return verdict, None
    return accept("ct_series", slices=len(grid.slices)), grid


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
