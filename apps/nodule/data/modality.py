"""From stored values to Hounsfield units by what the header says: slope and intercept, or a lookup table.

Source: DICOM PS3.3 C.11.1 (Modality LUT), C.7.6.16.2.9 (Pixel Value Transformation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from apps.nodule.data.frames import Frame, group_item, is_multiframe
from apps.nodule.reasons import refuse

MAX_SLOPE = 100.0
MAX_INTERCEPT = 40000.0
MAX_ENTRIES = 65536  # written as 0 (PS3.3 C.11.1.1.1)
HOUNSFIELD_TYPES = frozenset({"", "HU", "US"})  # US: unspecified


@dataclass(frozen=True)
class Rescale:
    """Slope and intercept of one frame: HU = slope * stored + intercept."""

    slope: float
    intercept: float

    @property
    def is_whole(self) -> bool:
        """True where whole stored values give whole Hounsfield units."""
        return self.slope.is_integer() and self.intercept.is_integer()

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return stored values, of any shape, in HU: whole numbers stay whole."""
        if not self.is_whole:
            return values * self.slope + self.intercept
        wide = values.astype(np.int64 if values.itemsize > 2 else np.int32)
        return wide * int(self.slope) + int(self.intercept)


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table: `hu_N[i]` is the value of stored number `first + i`; beyond its ends the end values hold."""

    hu_N: np.ndarray
    first: int

    @property
    def is_whole(self) -> bool:
        """True: a table holds whole numbers."""
        return True

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return stored values, of any shape, in HU."""
        return self.hu_N[np.clip(values.astype(np.int64) - self.first, 0, len(self.hu_N) - 1)]


Modality = Rescale | Table


def _holder(dataset: Dataset, index: int) -> Dataset | None:
    return (
        group_item(dataset, index, "PixelValueTransformationSequence") if is_multiframe(dataset) else dataset
    )


def rescale_of(dataset: Dataset, index: int) -> Modality | None:
    """Return how one frame's values become HU, or None where that is missing or impossible.

    A lookup table replaces slope and intercept (PS3.3 C.11.1 allows only one of the two).
    """
    tables = dataset.get("ModalityLUTSequence") or []
    if tables:
        return _table_of(tables[0], signed=dataset.get("PixelRepresentation") == 1)
    holder = _holder(dataset, index)
    try:
        slope, intercept = (float(holder[key].value) for key in ("RescaleSlope", "RescaleIntercept"))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None
    possible = (
        np.isfinite([slope, intercept]).all() and 0 < slope <= MAX_SLOPE and abs(intercept) <= MAX_INTERCEPT
    )
    return Rescale(slope, intercept) if possible else None


def _table_of(item: Dataset, *, signed: bool) -> Table | None:
    try:
        entries, first, bits = (int(value) for value in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            values = np.frombuffer(
                data, "<u1" if bits == 8 and len(data) < 2 * (entries or MAX_ENTRIES) else "<u2"
            )
        else:
            values = np.array(data, dtype=np.int64) % 2**16
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    values = values.astype(np.int64)[: entries or MAX_ENTRIES]
    if len(values) < max(1, entries or MAX_ENTRIES) or bits not in range(8, 17):
        return None
    # Entries are unsigned by the standard, which leaves no value for air: writers store negative HU in two's
    # complement. No Hounsfield unit is so large that the two could be confused.
    values = np.where(values >= 2**15, values - 2**16, values)
    if signed and first >= 2**15:
        first -= 2**16
    return Table(values.astype(np.int32), first)


def rescales_of(datasets: Sequence[Dataset], frames: Sequence[Frame]) -> list[Modality]:
    """Return the way from values to HU of each frame; raises ItemRefused("bad_rescale")."""
    tables: dict[int, Modality | None] = {}
    rescales = []
    for frame in frames:
        dataset = datasets[frame.source]
        if "ModalityLUTSequence" in dataset:
            if frame.source not in tables:
                tables[frame.source] = rescale_of(dataset, frame.index)
            rescales.append(tables[frame.source])
        else:
            rescales.append(rescale_of(dataset, frame.index))
    known = [rescale for rescale in rescales if rescale is not None]
    if len(known) < len(frames):
        raise refuse("bad_rescale", images=len(frames) - len(known))
    return known


def is_named_hounsfield(dataset: Dataset, index: int) -> bool:
    """Return whether the header calls one frame's values Hounsfield units, or gives them no name."""
    tables = dataset.get("ModalityLUTSequence") or []
    if tables:
        return str(tables[0].get("ModalityLUTType") or "").strip().upper() in HOUNSFIELD_TYPES
    holder = _holder(dataset, index)
    return holder is None or str(holder.get("RescaleType") or "").strip().upper() in HOUNSFIELD_TYPES
