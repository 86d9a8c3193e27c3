"""One accepted series to one Volume: headers, order, pixels, checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from apps.nodule.data.frames import Frame, frames_of
from apps.nodule.data.geometry import Grid, grid_of
from apps.nodule.data.headers import NATIVE, Header, read_header, read_object
from apps.nodule.data.modality import Modality, rescales_of
from apps.nodule.data.pixels import is_padding_tissue, looks_like_hounsfield, stored_frames, to_hounsfield
from apps.nodule.data.quiet import native_stderr_muted, quiet_libraries
from apps.nodule.data.series import SeriesItem
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import read_volume_file
from apps.nodule.reasons import note, refuse
from core.errors import ItemRefused

THREADS = min(4, os.cpu_count() or 1)
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Plan:
    """What must be decoded: the frames of the images, their grid, and one rescale a frame."""

    images: tuple[Header, ...]
    frames: tuple[Frame, ...]
    rescales: tuple[Modality, ...]
    grid: Grid
    notes: tuple[tuple[str, str], ...]


def load(item: SeriesItem) -> Volume:
    """Read an accepted series (`scan`) as Hounsfield units on an affine grid.

    Raises ItemRefused with a code of `reasons.refuse`; the sentence is free of patient data.
    """
    with quiet_libraries():
        if item.kind == "volume":
            return read_volume_file(item.files[0], item.id)
        return _load_dicom(item)


def _load_dicom(item: SeriesItem) -> Volume:
    plan = _plan(item)
    hu_DHW, sources, frames = _decode(plan, inverted=False)
    notes = plan.notes
    if not looks_like_hounsfield(hu_DHW):
        if not any(image.text("PhotometricInterpretation") == "MONOCHROME1" for image in plan.images):
            raise refuse("values_not_hu")
        # The standard inverts the display only, yet some writers invert the values: believe what is a chest.
        hu_DHW, sources, frames = _decode(plan, inverted=True)
        if not looks_like_hounsfield(hu_DHW):
            raise refuse("values_not_hu")
        notes += (note("monochrome1_inverted"),)
    return Volume(hu_DHW, plan.grid.affine, item.id, sources, notes, frames)


def _plan(item: SeriesItem) -> Plan:
    chosen = sorted({number for number, _ in item.slices})
    read = {number: read_header(item.files[number]) for number in chosen}
    # By instance, not by file name: which of two equal images stays must not depend on where it lay.
    order = sorted(chosen, key=lambda number: (read[number].text("SOPInstanceUID"), number))
    images = [read[number] for number in order]
    datasets = [image.dataset for image in images]
    wanted = set(item.slices)
    frames = [frame for frame in frames_of(datasets) if (order[frame.source], frame.index) in wanted]
    if len(frames) < len(wanted):  # the files have changed since they were listed
        raise refuse("no_pixel_data", files=len(wanted) - len(frames), total=len(wanted))
    rescales = rescales_of(datasets, frames)
    grid = grid_of(frames)
    notes = (*item.notes, *_notes(images, frames, rescales, grid))
    return Plan(tuple(images), tuple(frames), tuple(rescales), grid, notes)


def _notes(
    images: Sequence[Header], frames: Sequence[Frame], rescales: Sequence[Modality], grid: Grid
) -> tuple[tuple[str, str], ...]:
    notes = list(grid.notes)
    if len(frames) > len(grid.places):
        notes.append(note("duplicates_dropped", images=len(frames) - len(grid.places)))
    if any(is_padding_tissue(images[f.source].dataset, r) for f, r in zip(frames, rescales, strict=True)):
        notes.append(note("padding_ignored"))
    return tuple(notes)


def _decode(
    plan: Plan, *, inverted: bool
) -> tuple[np.ndarray, tuple[Dataset, ...], tuple[tuple[int, int], ...]]:
    """Return `Volume`'s hu_DHW, sources and frames; refuses repeated images that differ."""
    places = plan.grid.places
    whole = all(rescale.is_whole for rescale in plan.rescales)
    hu_DHW = np.empty((len(places), *plan.grid.shape_HW), dtype=np.int16 if whole else np.float32)
    slice_of = {number: d for d, place in enumerate(places) for number in place}
    firsts = [place[0] for place in places]
    repeats = [number for place in places for number in place[1:]]
    differing: list[int] = []

    def keep(number: int, hu_HW: np.ndarray) -> None:
        hu_DHW[slice_of[number]] = hu_HW

    def compare(number: int, hu_HW: np.ndarray) -> None:
        if not np.array_equal(hu_DHW[slice_of[number]], hu_HW):
            differing.append(slice_of[number])

    headers = _each_frame(plan, firsts, keep, inverted=inverted)
    _each_frame(plan, repeats, compare, inverted=inverted)
    if differing:
        raise refuse("duplicates_differ", places=len(set(differing)))
    ordered = list(dict.fromkeys(plan.frames[number].source for number in firsts))
    at = {source: position for position, source in enumerate(ordered)}
    frames = tuple((at[plan.frames[number].source], plan.frames[number].index) for number in firsts)
    return hu_DHW, tuple(headers[source] for source in ordered), frames


def _each_frame(
    plan: Plan, numbers: Sequence[int], use: Callable[[int, np.ndarray], None], *, inverted: bool
) -> dict[int, Dataset]:
    """Call `use(number, hu_HW)` for each frame, reading every object once, in threads; return its headers."""
    by_source: dict[int, list[int]] = {}
    for number in numbers:
        by_source.setdefault(plan.frames[number].source, []).append(number)

    broken: list[int] = []

    def read(source: int) -> Dataset | None:
        wanted = by_source[source]
        indices = [plan.frames[number].index for number in wanted]
        done = 0
        try:
            dataset = read_object(plan.images[source])
            for number, stored_HW in zip(wanted, stored_frames(dataset, indices), strict=True):
                use(number, to_hounsfield(stored_HW, dataset, plan.rescales[number], inverted=inverted))
                done += 1
        except ItemRefused as refusal:
            if refusal.code != "undecodable":
                raise
            broken.append(len(wanted) - done)  # all are counted, so that the sentence tells how much is lost
            return None
        return _without_pixels(dataset)

    # The codecs of compressed syntaxes complain of broken data on stderr themselves.
    compressed = any(image.syntax not in NATIVE for image in plan.images)
    with native_stderr_muted() if compressed else nullcontext(), ThreadPoolExecutor(THREADS) as pool:
        headers = dict(zip(by_source, pool.map(read, by_source), strict=True))
    if broken:
        raise refuse("undecodable", images=sum(broken))
    return {source: header for source, header in headers.items() if header is not None}


def _without_pixels(dataset: Dataset) -> Dataset:
    """Return the header alone, fully converted and in readable text."""
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            del dataset[keyword]
    return dataset
