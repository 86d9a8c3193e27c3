"""Stored pixel values to Hounsfield units: transfer syntax, bits, sign, padding, rescale, MONOCHROME1.

Sources: DICOM PS3.3 C.7.6.3 (Image Pixel), C.7.5.1.1.2 (Pixel Padding), C.11.1 (Modality LUT),
C.8.2.1 (CT Image).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import iter_pixels

from apps.nodule.data.frames import is_multiframe
from apps.nodule.data.jpeg_extended import extended_frames, is_extended_12_bit
from apps.nodule.data.modality import Modality
from apps.nodule.reasons import UNDECODABLE, refuse

# The least Hounsfield unit. Nothing is thinner than air (-1000); what lies lower is noise or a scanner's own
# filling outside its field of view, often undeclared (LIDC-IDRI-0063: -2048 in a fifth of all voxels).
AIR_HU = -1024
MAX_HU = np.iinfo(np.int16).max
# A padding value that maps to here would turn tissue into air: some exporters leave 0 in the field.
TISSUE_HU = (-900.0, 3071.0)
# A chest holds lung, or air around it, and soft tissue; less than one voxel in a thousand is an accident.
LUNG_HU = -500.0
SOFT_TISSUE_HU = (-200.0, 300.0)
LEAST_SHARE = 1e-3
PARENCHYMA_HU = (-980.0, -500.0)
CHEST_SHARE = 0.01


def stored_frames(dataset: Dataset, wanted: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the stored values (H, W) of the wanted frames in the order given, bits above BitsStored kept.

    Raises ItemRefused: unsupported_pixels, undecodable.
    """
    if dataset.get("SamplesPerPixel", 1) != 1 or dataset.get("BitsAllocated") not in (8, 16, 32):
        raise refuse("unsupported_pixels")
    done = 0
    try:
        shape = (dataset.Rows, dataset.Columns)
        for values_HW in _decoded(dataset, wanted):
            if values_HW.shape != shape or values_HW.dtype.kind not in "iu":
                break
            yield np.ascontiguousarray(values_HW, dtype=values_HW.dtype.newbyteorder("="))
            done += 1
    except Exception:  # decoders raise nearly anything on broken data and quotes values: no cause is kept
        raise UNDECODABLE("undecodable", images=len(wanted) - done) from None
    if done != len(wanted):
        raise UNDECODABLE("undecodable", images=len(wanted) - done)


def _decoded(dataset: Dataset, wanted: Sequence[int]) -> Iterator[np.ndarray]:
    if is_extended_12_bit(dataset):
        return extended_frames(dataset, wanted)
    return iter_pixels(dataset, indices=wanted if is_multiframe(dataset) else None, raw=True)


def to_hounsfield(
    stored_HW: np.ndarray, dataset: Dataset, rescale: Modality, *, inverted: bool = False
) -> np.ndarray:
    """Return one frame's Hounsfield units (H, W), int16 where the rescale is whole, else float32.

    Declared padding becomes air, -1024. inverted: the stored scale runs backwards, from the largest value
    down. Values below -1024 become -1024; whole values beyond int16 (metal) become its greatest.
    """
    values_HW = _significant_bits(stored_HW, dataset)
    if inverted:
        values_HW = _backwards(values_HW, dataset)
    hu_HW = rescale.apply(values_HW)
    if rescale.is_whole:
        hu_HW = np.clip(hu_HW, AIR_HU, MAX_HU).astype(np.int16)
    else:
        hu_HW = np.maximum(hu_HW, AIR_HU).astype(np.float32)
    padding_HW = _padding(stored_HW, dataset, rescale)
    if padding_HW is not None:
        hu_HW[padding_HW] = AIR_HU
    return hu_HW


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """Return an attribute that is one whole number, or None where it is absent or anything else."""
    value = dataset.get(keyword)
    return int(value) if isinstance(value, int) else None


def _significant_bits(stored_HW: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return values of the BitsStored bits that end at HighBit, with their sign (PS3.5 8.1.1)."""
    allocated = stored_HW.itemsize * 8
    stored = whole_number(dataset, "BitsStored") or allocated
    high = whole_number(dataset, "HighBit")
    above = allocated - 1 - (stored - 1 if high is None else high)
    values_HW = stored_HW.view(f"{'i' if _is_signed(dataset) else 'u'}{stored_HW.itemsize}")
    if not 0 < stored < allocated or not 0 <= above <= allocated - stored:
        return values_HW
    return (values_HW << above) >> (allocated - stored)


def _backwards(values_HW: np.ndarray, dataset: Dataset) -> np.ndarray:
    bits = whole_number(dataset, "BitsStored") or values_HW.itemsize * 8
    ends = -1 if _is_signed(dataset) else 2**bits - 1
    return ends - values_HW.astype(np.int64)


def _is_signed(dataset: Dataset) -> bool:
    return dataset.get("PixelRepresentation") == 1


def padding_range(dataset: Dataset) -> tuple[int, int] | None:
    """Return the least and the greatest stored value declared as padding, both included, or None.

    The field is often written with the other sign than the pixels (63536 for -2000): it is taken modulo
    BitsAllocated.
    """
    first = whole_number(dataset, "PixelPaddingValue")
    last = whole_number(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return None
    bits = whole_number(dataset, "BitsAllocated") or 16
    wrapped = [end % 2**bits for end in (first, first if last is None else last)]
    if _is_signed(dataset):
        wrapped = [end - 2**bits if end >= 2 ** (bits - 1) else end for end in wrapped]
    return min(wrapped), max(wrapped)


def is_padding_tissue(dataset: Dataset, rescale: Modality) -> bool:
    """Return whether the declared padding overlaps the values of tissue, so that it must not be believed."""
    ends = padding_range(dataset)
    if ends is None:
        return False
    low, high = (float(value) for value in rescale.apply(np.array(ends)))
    return low < TISSUE_HU[1] and high > TISSUE_HU[0]


def _padding(stored_HW: np.ndarray, dataset: Dataset, rescale: Modality) -> np.ndarray | None:
    """Return where the frame is padded (H, W), or None where no padding applies."""
    ends = padding_range(dataset)
    if ends is None or is_padding_tissue(dataset, rescale):
        return None
    values_HW = stored_HW.view(f"{'i' if _is_signed(dataset) else 'u'}{stored_HW.itemsize}")
    return (values_HW >= ends[0]) & (values_HW <= ends[1])


def is_chest_scale(hu_DHW: np.ndarray) -> bool:
    """Return whether values lie where only a chest in HU has them: many in lung proper, many in soft tissue.

    Stricter than `looks_like_hounsfield`, for values that the header calls another quantity: neither the filling
    outside the field of view nor room air counts.
    """
    lung = float(((hu_DHW > PARENCHYMA_HU[0]) & (hu_DHW < PARENCHYMA_HU[1])).mean())
    tissue = float(((hu_DHW > SOFT_TISSUE_HU[0]) & (hu_DHW < SOFT_TISSUE_HU[1])).mean())
    return lung >= CHEST_SHARE and tissue >= CHEST_SHARE


def looks_like_hounsfield(hu_DHW: np.ndarray) -> bool:
    """Return whether a volume (D, H, W) in HU holds both air or lung and soft tissue; a million voxels are read."""
    step = max(1, round((hu_DHW.size / 1e6) ** (1 / 3)))
    sample = hu_DHW[::step, ::step, ::step]
    lung = float((sample < LUNG_HU).mean())
    tissue = float(((sample > SOFT_TISSUE_HU[0]) & (sample < SOFT_TISSUE_HU[1])).mean())
    return lung >= LEAST_SHARE and tissue >= LEAST_SHARE
