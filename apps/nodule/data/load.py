"""One accepted series to one Volume: headers, order, pixels, checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread

from apps.nodule.data.frames import Frame, frames_of
from apps.nodule.data.geometry import Grid, grid_of
from apps.nodule.data.headers import NATIVE, Header, drop_broken, read_header
from apps.nodule.data.pixels import (
    Rescale,
    is_padding_tissue,
    looks_like_hounsfield,
    rescales_of,
    stored_frames,
    to_hounsfield,
)
from apps.nodule.data.quiet import native_stderr_muted, quiet_libraries
from apps.nodule.data.reasons import note, refuse
from apps.nodule.data.select import axial_images
from apps.nodule.data.series import SeriesItem
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import read_volume_file

THREADS = min(4, os.cpu_count() or 1)
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Plan:
    """What must be decoded: the frames of the images, their grid, and one rescale a frame."""

    images: tuple[Header, ...]
    frames: tuple[Frame, ...]
    rescales: tuple[Rescale, ...]
    grid: Grid
    notes: tuple[tuple[str, str], ...]


def load(item: SeriesItem) -> Volume:
    """Read an accepted series (`scan`) as Hounsfield units on an affine grid.

    Raises ItemRefused with a code of `reasons.FAULT_SENTENCES`; the sentence is free of patient data.
    """
    with quiet_libraries():
        if item.kind == "volume":
            return read_volume_file(item.files[0], item.id)
        return _load_dicom(item)


def _load_dicom(item: SeriesItem) -> Volume:
    plan = _plan([read_header(path) for path in item.files])
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


def _plan(headers: Sequence[Header]) -> Plan:
    # By instance, not by file name: which of two equal images stays must not depend on where it lay.
    images = sorted(axial_images(headers), key=lambda image: image.text("SOPInstanceUID"))
    if not images:
        raise refuse("no_pixel_data", files=len(headers), total=len(headers))
    datasets = [image.dataset for image in images]
    frames = frames_of(datasets)
    rescales = rescales_of(datasets, frames)
    grid = grid_of(frames)
    notes = _notes(headers, images, frames, rescales, grid)
    return Plan(tuple(images), tuple(frames), tuple(rescales), grid, notes)


def _notes(
    headers: Sequence[Header],
    images: Sequence[Header],
    frames: Sequence[Frame],
    rescales: Sequence[Rescale],
    grid: Grid,
) -> tuple[tuple[str, str], ...]:
    notes = list(grid.notes)
    if len(images) < len(headers):
        notes.append(note("others_dropped", images=len(headers) - len(images)))
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

    def read(source: int) -> Dataset:
        dataset = _read_object(plan.images[source])
        wanted = by_source[source]
        indices = [plan.frames[number].index for number in wanted]
        for number, stored_HW in zip(wanted, stored_frames(dataset, indices), strict=True):
            use(number, to_hounsfield(stored_HW, dataset, plan.rescales[number], inverted=inverted))
        return _without_pixels(dataset)

    # The codecs of compressed syntaxes complain of broken data on stderr themselves.
    compressed = any(image.syntax not in NATIVE for image in plan.images)
    with native_stderr_muted() if compressed else nullcontext(), ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(by_source, pool.map(read, by_source), strict=True))


def _read_object(image: Header) -> Dataset:
    try:
        dataset = dcmread(image.path, force=True)
    except OSError:
        raise refuse("unreadable_file") from None
    except Exception:  # pydicom raises nearly anything on broken bytes and quotes values: no cause is kept
        raise refuse("undecodable", images=1) from None
    drop_broken(dataset)
    dataset.file_meta.TransferSyntaxUID = image.syntax
    return dataset


def _without_pixels(dataset: Dataset) -> Dataset:
    """Return the header alone, fully converted and in readable text."""
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            del dataset[keyword]
    return dataset
