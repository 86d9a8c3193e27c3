"""Which CT images of a series are slices of its volume: an unmarked localiser or a dose page among them is not one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from apps.nodule.data.frames import Frame, frames_of, is_multiframe
from apps.nodule.data.geometry import SAME_SPACING, degrees_off_axial
from apps.nodule.data.headers import Header
from apps.nodule.data.pixels import whole_number
from core.errors import ItemRefused

MAX_OFF_AXIAL_DEGREES = 45.0
PAGE_BITS = 8
# A scan has one or two localisers and a page or two; more images of another kind are a fault of the series.
MOST_STRAY = 0.1


def has_plain_pixels(image: Header) -> bool:
    """Return whether a pixel is one number on a grey scale: neither colours nor indices of a palette."""
    grey = image.text("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2", "")
    return grey and image.dataset.get("SamplesPerPixel", 1) in (1, None)


def slices_among(images: Sequence[Header]) -> list[Header]:
    """Return the images that belong to the volume, in their order: all, where none or too many are of another kind.

    Left out are images across the body where others are axial, and up to a tenth of images that differ from all
    others in kind: colour or 8 bits, no position at all, another size or pixel spacing.
    """
    frames = [_first_frame(image) for image in images]
    axial = [f is not None and degrees_off_axial(f.orientation) <= MAX_OFF_AXIAL_DEGREES for f in frames]
    across = (
        [f is not None and not a for f, a in zip(frames, axial, strict=True)]
        if any(axial)
        else [False] * len(images)
    )
    left = [n for n, is_across in enumerate(across) if not is_across]
    kinds = [_kind(images[n]) for n in left]
    usual, count = Counter(kinds).most_common(1)[0]
    spacing = np.median(
        [np.log(f.spacing_mm) for n in left if (f := frames[n]) is not None] or [[0, 0]], axis=0
    )
    alike = [kind == usual and _has_spacing(frames[n], spacing) for n, kind in zip(left, kinds, strict=True)]
    if len(left) - sum(alike) > MOST_STRAY * len(left) or count <= len(left) / 2:
        return [images[n] for n in left]
    return [images[n] for n, same in zip(left, alike, strict=True) if same]


def _first_frame(image: Header) -> Frame | None:
    try:
        return frames_of([image.dataset])[0]
    except ItemRefused:
        return None


def _kind(image: Header) -> Hashable:
    """What all slices of a volume share; a slice whose position alone is damaged is of their kind."""
    data = image.dataset
    bits = whole_number(data, "BitsStored") or whole_number(data, "BitsAllocated") or 0
    placed = is_multiframe(data) or data.get("ImagePositionPatient") or data.get("ImageOrientationPatient")
    return (
        has_plain_pixels(image),
        0 < bits <= PAGE_BITS,
        bool(placed),
        image.text("Rows"),
        image.text("Columns"),
    )


def _has_spacing(frame: Frame | None, spacing: np.ndarray) -> bool:
    return frame is None or bool(np.abs(np.log(frame.spacing_mm) - spacing).max() <= SAME_SPACING)
