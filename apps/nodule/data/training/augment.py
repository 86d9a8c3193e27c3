"""What differs between scanners and patients, imitated on a training patch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from apps.nodule.data.training.patch import Patch


def augment(patch: Patch, rng: np.random.Generator) -> Patch:
    """Mirror, turn in the axial plane, and change slice thickness, sharpness, noise and HU scale at random."""
    patch = _mirror(patch, rng)
    hu = patch.hu_DHW
    if rng.random() < 0.35:  # thick slices
        hu = ndimage.gaussian_filter1d(hu, rng.uniform(0.6, 1.3), axis=0, truncate=2.5)
    if rng.random() < 0.4:
        hu = _sharpness(hu, rng)
    if rng.random() < 0.6:
        hu = hu + _noise(hu.shape, rng)
    hu = (hu + 1000.0) * rng.normal(1.0, 0.03) - 1000.0 + rng.normal(0.0, 12.0)
    return Patch(
        np.ascontiguousarray(hu, dtype=np.float32), patch.centres_N3, patch.diameters_N, patch.valid_DHW
    )


def _mirror(patch: Patch, rng: np.random.Generator) -> Patch:
    hu, valid, centres = patch.hu_DHW, patch.valid_DHW, patch.centres_N3.copy()
    for axis in range(3):
        if rng.random() < 0.5:
            hu, valid = np.flip(hu, axis), np.flip(valid, axis)
            centres[:, axis] = hu.shape[axis] - 1 - centres[:, axis]
    if rng.random() < 0.5:
        hu, valid, centres = hu.transpose(0, 2, 1), valid.transpose(0, 2, 1), centres[:, [0, 2, 1]]
    return Patch(hu, centres, patch.diameters_N, valid)


def _sharpness(hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sigma = rng.uniform(0.4, 0.9)
    blurred = ndimage.gaussian_filter(hu, (0, sigma, sigma), truncate=2.5)
    return blurred if rng.random() < 0.5 else hu + rng.uniform(0.3, 1.0) * (hu - blurred)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of up to 60 HU, correlated as soft and sharp kernels make it."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.6:
        noise = ndimage.gaussian_filter(
            noise, (rng.uniform(0, 0.8), *[rng.uniform(0.4, 1.1)] * 2), truncate=2.5
        )
        noise /= noise.std()
    return noise * np.float32(60.0 * rng.random() ** 2)
