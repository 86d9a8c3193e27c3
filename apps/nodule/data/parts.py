"""One series that holds several stacks of images: acquisitions, phases, reconstructions, each to its own part.

What separates them is tried in a fixed order: acquisition number, temporal position, trigger, time, frame of
reference, reconstruction, and at last the grid of positions itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from apps.nodule.data.frames import Frame, group_item, is_multiframe
from apps.nodule.data.geometry import SAME_PLACE_MM, STEP_TOLERANCE_MM, slice_normal, step_tolerance
from apps.nodule.data.headers import Header
from apps.nodule.reasons import ACCEPTED, QUARANTINED, Reason

MAX_GRIDS = 4
JUMP = 1.5  # slices; further than this from the image before, an image starts a new sweep

Frames = list[Frame]
Judge = Callable[[Frames], Reason]
Value = tuple[int, float, str]


@dataclass(frozen=True)
class Stack:
    """The images of one part; `by`: what separates it from the other parts, empty for the whole series."""

    frames: Frames
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """An attribute that separates stacks.

    keywords: the first that is present counts, with its name within functional groups. is_sure: parts that are too
    small for a chest are then rows of their own; otherwise every part must be a whole volume, and the parts must
        cover each other: a gap alone never separates. date: the attribute that a time of day belongs to.
    """

    name: str
    keywords: tuple[tuple[str, str, str], ...]
    ways: tuple[str, ...]
    is_sure: bool = False
    date: str = ""


_CONTENT, _CARDIAC = "FrameContentSequence", "CardiacSynchronizationSequence"
_FRAME_TIME = "FrameAcquisitionDateTime"
_REPEATS, _TIMES = ("value", "rank"), ("value", "sweep", "rank")
KEYS = (
    Key(
        "acquisition number",
        (("AcquisitionNumber", _CONTENT, "FrameAcquisitionNumber"),),
        _REPEATS,
        is_sure=True,
    ),
    Key(
        "temporal position",
        (("TemporalPositionIdentifier", _CONTENT, "TemporalPositionIndex"),),
        _REPEATS,
    ),
    Key(
        "trigger",
        (
            ("NominalPercentageOfCardiacPhase", _CARDIAC, "NominalPercentageOfCardiacPhase"),
            ("TriggerTime", _CARDIAC, "NominalCardiacTriggerDelayTime"),
        ),
        _REPEATS,
    ),
    Key("content time", (("ContentTime", _CONTENT, "FrameReferenceDateTime"),), _TIMES, date="ContentDate"),
    Key(
        "acquisition time",
        (("AcquisitionDateTime", _CONTENT, _FRAME_TIME), ("AcquisitionTime", _CONTENT, _FRAME_TIME)),
        _TIMES,
        date="AcquisitionDate",
    ),
    Key("frame of reference", (("FrameOfReferenceUID", "", ""),), ("value",)),
    Key(
        "reconstruction kernel",
        (("ConvolutionKernel", "CTReconstructionSequence", "ConvolutionKernel"),),
        ("value",),
    ),
    Key("slice thickness", (("SliceThickness", "PixelMeasuresSequence", "SliceThickness"),), ("value",)),
)
GRID = "position"


def stacks_of(
    images: Sequence[Header], frames: Frames, judge: Judge, keys: Sequence[Key] = KEYS
) -> list[Stack]:
    """Return the stacks of a series in a fixed order: one where it is one grid, or cannot be separated.

    images: the objects, `Frame.source` counts in them. judge: the verdict on a stack by itself.
    """
    if judge(frames).status != QUARANTINED and not is_crowded(images, frames):
        return [Stack(frames)]
    for number, key in enumerate(keys):
        for groups in _groupings(images, frames, key):
            leaves = [
                leaf for group in groups for leaf in stacks_of(images, group, judge, keys[number + 1 :])
            ]
            if _is_split(images, leaves, judge, is_sure=key.is_sure):
                return [Stack(leaf.frames, tuple(dict.fromkeys((key.name, *leaf.by)))) for leaf in leaves]
    grids = interleaved_grids(frames)
    if len(grids) > 1 and _is_split(images, [Stack(grid) for grid in grids], judge, is_sure=False):
        return [Stack(grid, (GRID,)) for grid in grids]
    return [Stack(frames)]


def _is_split(images: Sequence[Header], leaves: list[Stack], judge: Judge, *, is_sure: bool) -> bool:
    accepted = [judge(leaf.frames).status == ACCEPTED for leaf in leaves]
    if any(is_crowded(images, leaf.frames) for leaf in leaves):
        return False
    return any(accepted) if is_sure else all(accepted) and _all_overlap(leaves)


def _all_overlap(leaves: list[Stack]) -> bool:
    ranges = [(along.min(), along.max()) for along in (along_normal(leaf.frames) for leaf in leaves)]
    return all(
        any(low < other[1] and other[0] < high for m, other in enumerate(ranges) if m != n)
        for n, (low, high) in enumerate(ranges)
    )


def is_crowded(images: Sequence[Header], frames: Frames) -> bool:
    """Return whether different images lie at one position; copies of one instance count as one."""
    along = along_normal(frames)
    order = np.argsort(along, kind="stable")
    for one, two in pairwise(order):
        near = along[two] - along[one] < SAME_PLACE_MM
        if near and _identity(images, frames[one]) != _identity(images, frames[two]):
            return True
    return False


def along_normal(frames: Frames) -> np.ndarray:
    """Return where each image lies along the normal of the first, (N,) mm."""
    normal = slice_normal(frames[0].orientation)
    return np.array([frame.position_mm @ normal for frame in frames])


def _identity(images: Sequence[Header], frame: Frame) -> tuple[str, int]:
    return images[frame.source].text("SOPInstanceUID") or str(frame.source), frame.index


def _groupings(images: Sequence[Header], frames: Frames, key: Key) -> Iterator[list[Frames]]:
    values = [_value(images[frame.source], frame.index, key) for frame in frames]
    if len(set(values)) < 2:
        return
    ways = {"value": _by_value, "sweep": _by_sweep, "rank": _by_rank}
    for way in key.ways:
        groups = ways[way](frames, values)
        if len(groups) > 1:
            yield groups


def _value(header: Header, index: int, key: Key) -> Value:
    """Return an attribute so that values sort: numbers by size, times and words by their text, absence first."""
    for keyword, group, name in key.keywords:
        item = group_item(header.dataset, index, group) if group and is_multiframe(header.dataset) else None
        value = item.get(name) if item is not None else None
        value = header.dataset.get(keyword) if value is None or value == "" else value
        if value is None or value == "":
            continue
        if isinstance(value, (int, float)):
            return 1, float(value), ""
        date = header.text(key.date) if key.date else ""
        return 2, 0.0, f"{date} {value}"
    return 0, 0.0, ""


def _by_value(frames: Frames, values: Sequence[Hashable]) -> list[Frames]:
    groups: dict[Hashable, Frames] = {value: [] for value in sorted(set(values))}  # type: ignore[type-var]
    for frame, value in zip(frames, values, strict=True):
        groups[value].append(frame)
    return list(groups.values())


def _by_sweep(frames: Frames, values: Sequence[Value]) -> list[Frames]:
    """Follow the images in time: a position met again, or one that is not a neighbour, begins the next sweep."""
    along = along_normal(frames)
    steps = np.diff(np.unique(np.round(along / SAME_PLACE_MM)) * SAME_PLACE_MM)
    if len(steps) == 0:
        return [frames]
    reach = JUMP * float(np.median(steps))
    groups: list[Frames] = []
    seen: set[int] = set()
    last = np.inf
    for n in sorted(range(len(frames)), key=lambda n: (values[n], along[n])):
        spot = round(along[n] / SAME_PLACE_MM)
        if not groups or spot in seen or abs(along[n] - last) > reach:
            groups.append([])
            seen.clear()
        groups[-1].append(frames[n])
        seen.add(spot)
        last = along[n]
    return groups


def _by_rank(frames: Frames, values: Sequence[Value]) -> list[Frames]:
    """Give the first image of each position to the first part, the second to the second; all positions have as many."""
    along = along_normal(frames)
    positions: list[list[int]] = []
    for n in np.argsort(along, kind="stable"):
        if positions and along[n] - along[positions[-1][0]] < SAME_PLACE_MM:
            positions[-1].append(int(n))
        else:
            positions.append([int(n)])
    depth = len(positions[0])
    if any(
        len({values[n] for n in members}) != len(members) or len(members) != depth for members in positions
    ):
        return [frames]
    ranked = [sorted(members, key=lambda n: values[n]) for members in positions]
    return [[frames[members[rank]] for members in ranked] for rank in range(depth)]


def interleaved_grids(frames: Frames) -> list[Frames]:
    """Return the regular grids of one step into which positions fall, by their offset; one where there is but one."""
    along = along_normal(frames)
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    if len(steps) == 0 or np.ptp(steps) <= STEP_TOLERANCE_MM:
        return [frames]
    for count in range(2, MAX_GRIDS + 1):
        if len(steps) < 2 * count:
            break
        step = float(np.median(along[order][count:] - along[order][:-count]))
        if step <= 2 * step_tolerance(step):
            continue
        phases = (along - along[order[0]]) % step
        phases = np.where(step - phases < step_tolerance(step), 0.0, phases)
        grids = _clusters(frames, along, phases, step)
        if len(grids) == count:
            return grids
    return [frames]


def _clusters(frames: Frames, along: np.ndarray, phases: np.ndarray, step: float) -> list[Frames]:
    order = np.argsort(phases, kind="stable")
    breaks = np.flatnonzero(np.diff(phases[order]) > STEP_TOLERANCE_MM) + 1
    grids = []
    for members in np.split(order, breaks):
        inside = np.sort(along[members])
        if len(inside) < 2 or np.abs(np.diff(inside) - step).max() > step_tolerance(step):
            return [frames]
        grids.append([frames[n] for n in members])
    return grids


def offset_mm(stacks: Sequence[Stack]) -> float:
    """Return how far the first stack's slices lie from the nearest of the second, 0 where they share positions, mm."""
    one, two = (along_normal(stack.frames) for stack in stacks[:2])
    if one.max() < two.min() or two.max() < one.min():
        return 0.0
    return float(np.median(np.abs(one[:, None] - two[None]).min(axis=1)))
