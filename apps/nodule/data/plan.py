"""How an accepted DICOM series is decoded, as its headers have it: `scan` makes the plan, `load` follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from apps.nodule.data.frames import Frame
from apps.nodule.data.geometry import Grid
from apps.nodule.data.headers import Header
from apps.nodule.data.modality import Modality
from apps.nodule.data.pixels import is_padding_tissue
from apps.nodule.reasons import Note, note


@dataclass(frozen=True)
class DicomObject:
    """A file that holds images, and the transfer syntax in which it was read."""

    path: Path
    syntax: UID


@dataclass(frozen=True, eq=False)
class Plan:
    """What is decoded and where it goes; it holds no header, so that a folder of many series needs little memory.

    objects: by SOPInstanceUID. images: each image as (number in `objects`, frame in that object), both from 0.
    rescales: how the stored values of each image become HU. grid: where each image lies.
    may_be_inverted: some image is MONOCHROME1. notes: peculiarities of grid, repeated images and padding.
    """

    objects: tuple[DicomObject, ...]
    images: tuple[tuple[int, int], ...]
    rescales: tuple[Modality, ...]
    grid: Grid
    may_be_inverted: bool
    notes: tuple[Note, ...]


def plan_of(
    headers: Sequence[Header], frames: Sequence[Frame], rescales: Sequence[Modality], grid: Grid
) -> Plan:
    """Return the plan of a stack.

    headers: those of the series, by SOPInstanceUID; `Frame.source` counts in them. frames: the images of the stack,
    by source and index, with their rescales. grid: of these frames, in this order.
    """
    used = sorted({frame.source for frame in frames})
    number_of = {source: number for number, source in enumerate(used)}
    # Most images of a series share one rescale: it is kept once.
    shared: dict[Modality, Modality] = {}
    return Plan(
        tuple(DicomObject(headers[source].path, headers[source].syntax) for source in used),
        tuple((number_of[frame.source], frame.index) for frame in frames),
        tuple(shared.setdefault(rescale, rescale) for rescale in rescales),
        grid,
        any(headers[source].text("PhotometricInterpretation") == "MONOCHROME1" for source in used),
        _notes(headers, frames, rescales, grid),
    )


def _notes(
    headers: Sequence[Header], frames: Sequence[Frame], rescales: Sequence[Modality], grid: Grid
) -> tuple[Note, ...]:
    notes = list(grid.notes)
    if len(frames) > len(grid.slices):
        notes.append(note("duplicates_dropped", images=len(frames) - len(grid.slices)))
    pairs = zip(frames, rescales, strict=True)
    if any(is_padding_tissue(headers[frame.source].dataset, rescale) for frame, rescale in pairs):
        notes.append(note("padding_ignored"))
    return tuple(notes)
