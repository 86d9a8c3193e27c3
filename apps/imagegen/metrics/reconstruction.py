"""How much of a picture survives an autoencoder. Legend: N pictures, H rows, W columns, C channels."""

from __future__ import annotations

import numpy as np

from apps.imagegen.metrics.estimate import Estimate, estimate
from core.statistics.bootstrap import SAMPLES

_PEAK = 255.0
HIGHEST = 100.0  # dB of a picture that came back without any change; the formula has no value there


def psnr_of_each(rgb_NHWC: np.ndarray, seen_NHWC: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio of each uint8 picture, (N,) in dB, at most HIGHEST.

    Raises ValueError where the two are not of one shape, uint8, four axes.
    """
    for array in (rgb_NHWC, seen_NHWC):
        if array.dtype != np.uint8 or array.shape != rgb_NHWC.shape or array.ndim != 4:
            raise ValueError(
                f"pictures are {array.dtype} {array.shape}, wanted uint8 (N, H, W, C), both alike"
            )
    error_N = np.square(rgb_NHWC.astype(np.float64) - seen_NHWC).mean(axis=(1, 2, 3))
    least = _PEAK**2 / 10.0 ** (HIGHEST / 10.0)
    psnr_N: np.ndarray = 10.0 * np.log10(_PEAK**2 / np.maximum(error_N, least))
    return psnr_N


def mean_psnr(psnr_N: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> Estimate:
    """Return the mean of the pictures' ratios; not the ratio of their mean error, which the worst ones rule."""
    return estimate(lambda weight_N: float(weight_N @ psnr_N / weight_N.sum()), len(psnr_N), samples, seed)
