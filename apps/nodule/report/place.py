"""Where a finding lies, in the words of a reader: side of the body, image number."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from apps.nodule.data.volume import Volume

# Nearer to the middle than this, the side is left open: the mediastinum is rarely exactly in the middle.
_UNSURE_MM = 20.0
_SOLID_HU = -300
_SLAB_MM = 20.0


def side_of_body(volume: Volume, centre_mm: tuple[float, float, float]) -> str | None:
    """Return "left" or "right" (the patient's), or None close to the middle or where no body is seen.

    The middle is the mean x of everything denser than lung within 20 mm above and below the point.
    """
    half = max(1, round(_SLAB_MM / float(volume.spacing_mm[0])))
    plane = round(float(volume.to_index(np.array([centre_mm]))[0, 0]))
    first = int(np.clip(plane - half, 0, volume.hu_DHW.shape[0] - 1))
    step = 4
    solid = np.argwhere(volume.hu_DHW[first : plane + half + 1 : 2, ::step, ::step] > _SOLID_HU)
    if len(solid) == 0:
        return None
    middle_mm = volume.to_world((solid * (2, step, step) + (first, 0, 0)).mean(axis=0)[None])[0, 0]
    off_mm = centre_mm[0] - float(middle_mm)
    if abs(off_mm) < _UNSURE_MM:
        return None
    return "left" if off_mm > 0 else "right"


def image_number(volume: Volume, centre_mm: tuple[float, float, float]) -> int:
    """Return the number, from 1, of the slice nearest to the point, in the volume's own order."""
    plane = round(float(volume.to_index(np.array([centre_mm]))[0, 0]))
    return int(np.clip(plane, 0, volume.hu_DHW.shape[0] - 1)) + 1


def source_image(volume: Volume, number: int) -> Dataset | None:
    """Return the header of image `number` (from 1), or None where a slice has no header of its own."""
    return volume.sources[number - 1] if len(volume.sources) == volume.hu_DHW.shape[0] else None
