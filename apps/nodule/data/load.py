"""One accepted series to one Volume: headers, order, pixels, checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
from pydicom import Dataset

from apps.nodule.data.headers import NATIVE, read_object
from apps.nodule.data.pixels import looks_like_hounsfield, stored_frames, to_hounsfield
from apps.nodule.data.plan import Plan
from apps.nodule.data.quiet import native_stderr_muted, quiet_libraries
from apps.nodule.data.series import SeriesItem
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import Layout, read_volume_file
from apps.nodule.reasons import UNDECODABLE, Undecodable, note, refuse

THREADS = min(4, os.cpu_count() or 1)
PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def load(item: SeriesItem) -> Volume:
    """Read an accepted series (`scan`) as Hounsfield units on an affine grid.

    Raises ItemRefused with a code of `reasons.refuse`, the sentence free of patient data, and ValueError for a series
    that was not accepted.
    """
    if item.plan is None:
        raise ValueError(f"the series is {item.status}, only an accepted one can be loaded")
    with quiet_libraries():
        if isinstance(item.plan, Layout):
            return read_volume_file(item.files[0], item.id, item.plan)
        return _load_dicom(item, item.plan)


def _load_dicom(item: SeriesItem, plan: Plan) -> Volume:
    hu_DHW, sources, frames = _decode(plan, inverted=False)
    notes = (*item.notes, *plan.notes)
    if not looks_like_hounsfield(hu_DHW):
        if not plan.may_be_inverted:
            raise refuse("values_not_hu")
        # The standard inverts the display only, yet some writers invert the values: believe what is a chest.
        hu_DHW, sources, frames = _decode(plan, inverted=True)
        if not looks_like_hounsfield(hu_DHW):
            raise refuse("values_not_hu")
        notes = (*notes, note("monochrome1_inverted"))
    return Volume(hu_DHW, plan.grid.affine, item.id, sources, notes, frames)


def _decode(
    plan: Plan, *, inverted: bool
) -> tuple[np.ndarray, tuple[Dataset, ...], tuple[tuple[int, int], ...]]:
    """Return `Volume`'s hu_DHW, sources and frames; refuses repeated images that differ."""
    slices = plan.grid.slices
    whole = all(rescale.is_whole for rescale in plan.rescales)
    hu_DHW = np.empty((len(slices), *plan.grid.shape_HW), dtype=np.int16 if whole else np.float32)
    slice_of = {number: d for d, members in enumerate(slices) for number in members}
    firsts = [members[0] for members in slices]
    repeats = [number for members in slices for number in members[1:]]
    differing: list[int] = []

    def keep(number: int, hu_HW: np.ndarray) -> None:
        hu_DHW[slice_of[number]] = hu_HW

    def compare(number: int, hu_HW: np.ndarray) -> None:
        if not np.array_equal(hu_DHW[slice_of[number]], hu_HW):
            differing.append(slice_of[number])

    headers = _each_frame(plan, firsts, keep, inverted=inverted)
    _each_frame(plan, repeats, compare, inverted=inverted)
    if differing:
        raise refuse("duplicates_differ", positions=len(set(differing)))
    ordered = list(dict.fromkeys(plan.images[number][0] for number in firsts))
    at = {source: position for position, source in enumerate(ordered)}
    frames = tuple((at[plan.images[number][0]], plan.images[number][1]) for number in firsts)
    return hu_DHW, tuple(headers[source] for source in ordered), frames


def _each_frame(
    plan: Plan, numbers: Sequence[int], use: Callable[[int, np.ndarray], None], *, inverted: bool
) -> dict[int, Dataset]:
    """Call `use(number, hu_HW)` for each frame, reading every object once, in threads; return its headers."""
    by_source: dict[int, list[int]] = {}
    for number in numbers:
        by_source.setdefault(plan.images[number][0], []).append(number)

    broken: list[int] = []

    def read(source: int) -> Dataset | None:
        wanted = by_source[source]
        indices = [plan.images[number][1] for number in wanted]
        done = 0
        try:
            dataset = read_object(plan.objects[source].path, plan.objects[source].syntax)
            if (dataset.get("Rows"), dataset.get("Columns")) != plan.grid.shape_HW:
                # the file has changed since it was listed
                raise UNDECODABLE("undecodable", images=len(wanted))
            for number, stored_HW in zip(wanted, stored_frames(dataset, indices), strict=True):
                use(number, to_hounsfield(stored_HW, dataset, plan.rescales[number], inverted=inverted))
                done += 1
        except Undecodable:
            broken.append(len(wanted) - done)  # all are counted, so that the sentence tells how much is lost
            return None
        return _without_pixels(dataset)

    # The codecs of compressed syntaxes complain of broken data on stderr themselves.
    compressed = any(item.syntax not in NATIVE for item in plan.objects)
    with native_stderr_muted() if compressed else nullcontext(), ThreadPoolExecutor(THREADS) as pool:
        headers = dict(zip(by_source, pool.map(read, by_source), strict=True))
    if broken:
        raise UNDECODABLE("undecodable", images=sum(broken))
    return {source: header for source, header in headers.items() if header is not None}


def _without_pixels(dataset: Dataset) -> Dataset:
    """Return the header alone, fully converted and in readable text."""
    for keyword in PIXEL_KEYWORDS:
        if keyword in dataset:
            del dataset[keyword]
    return dataset
