"""Do the pixel values of a series lie where only a chest in Hounsfield units has them?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.nodule.data.frames import Frame
from apps.nodule.data.geometry import slice_normal
from apps.nodule.data.headers import Header, read_object
from apps.nodule.data.modality import Modality
from apps.nodule.data.pixels import is_chest_scale, stored_frames, to_hounsfield
from core.errors import ItemRefused

IMAGES = 5


def values_are_hounsfield(
    images: Sequence[Header], frames: Sequence[Frame], rescales: Sequence[Modality]
) -> bool:
    """Judge it from five images along the series; False where one cannot be read: the header's word then stands."""
    normal = slice_normal(frames[0].orientation)
    order = sorted(range(len(frames)), key=lambda n: float(frames[n].position_mm @ normal))
    chosen = [order[int(at)] for at in np.linspace(0, len(order) - 1, IMAGES)]
    try:
        values = [_hounsfield(images, frames[n], rescales[n]).ravel() for n in chosen]
    except ItemRefused:
        return False
    return is_chest_scale(np.concatenate(values))


def _hounsfield(images: Sequence[Header], frame: Frame, rescale: Modality) -> np.ndarray:
    image = images[frame.source]
    dataset = read_object(image.path, image.syntax)
    (stored_HW,) = stored_frames(dataset, [frame.index])
    return to_hounsfield(stored_HW, dataset, rescale)
