"""Generated levels and seasons: draws of Gaussian processes whose kernels are composed at random.

Source: KernelSynth of Ansari et al. 2024, Chronos, arXiv:2403.07815, appendix A. A factor of the kernel's matrix
gives the past, and any number of futures that belong to it.
Legend: E kernels of the bank, B series, K futures, C steps of the past, H steps ahead, T = C + H.
"""

from __future__ import annotations

import numpy as np

PERIODS = (4, 7, 12, 24, 30, 48, 96, 168)
BENT = 1 / 3  # share of the series that are exponentiated
_JITTER = 1e-6


def kernel_bank(seed: int, kernels: int, steps: int) -> np.ndarray:
    """Return lower Cholesky factors of random kernels over `steps` steps, (E, T, T) float32, unit variance."""
    draw = np.random.default_rng([seed, 77])
    return np.stack([_factor(draw, steps) for _ in range(kernels)])


def kernel_series(
    draw: np.random.Generator, bank_ETT: np.ndarray, series: int, ahead: int, futures: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return pasts (B, C) and K futures of each (B, K, H); a share of them exponentiated: positive, skewed."""
    factor_BTT = bank_ETT[draw.integers(len(bank_ETT), size=series)]
    past = bank_ETT.shape[1] - ahead
    z_BC = draw.normal(size=(series, past)).astype(np.float32)
    z_BKH = draw.normal(size=(series, futures, ahead)).astype(np.float32)
    past_BC = np.einsum("bij,bj->bi", factor_BTT[:, :past, :past], z_BC)
    known_BH = np.einsum("bij,bj->bi", factor_BTT[:, past:, :past], z_BC)
    future_BKH = known_BH[:, None] + np.einsum("bij,bkj->bki", factor_BTT[:, past:, past:], z_BKH)
    bent_B = draw.uniform(size=series) < BENT
    strength_B = draw.uniform(0.2, 1.0, size=series)
    past_BC[bent_B] = np.exp(strength_B[bent_B, None] * past_BC[bent_B])
    future_BKH[bent_B] = np.exp(strength_B[bent_B, None, None] * future_BKH[bent_B])
    return past_BC, future_BKH


def _factor(draw: np.random.Generator, steps: int) -> np.ndarray:
    time_T = np.arange(steps, dtype=np.float64)
    gap_TT = time_T[:, None] - time_T
    kernel_TT = np.zeros((steps, steps))
    for number in range(draw.integers(1, 4)):
        part_TT = _part(draw, time_T, gap_TT)
        if number and draw.uniform() < 0.4:
            kernel_TT = kernel_TT * part_TT
        else:
            kernel_TT = kernel_TT + draw.uniform(0.2, 1.0) * part_TT
    kernel_TT = kernel_TT / max(float(np.mean(np.diag(kernel_TT))), _JITTER)
    noise = 10.0 ** draw.uniform(-4.0, 0.0) + _JITTER  # so that no series is free of noise
    return np.linalg.cholesky(kernel_TT + noise * np.eye(steps)).astype(np.float32)


def _part(draw: np.random.Generator, time_T: np.ndarray, gap_TT: np.ndarray) -> np.ndarray:
    shape = draw.integers(5)
    steps = len(time_T)
    if shape == 0:  # smooth
        return np.exp(-0.5 * (gap_TT / (steps * 10.0 ** draw.uniform(-1.5, 0.0))) ** 2)
    if shape == 1:  # rough at several scales
        return (1.0 + (gap_TT / (steps * 10.0 ** draw.uniform(-1.5, 0.0))) ** 2 / 2.0) ** -1.0
    if shape in (2, 3):  # periodic
        period = draw.choice(PERIODS) if draw.uniform() < 0.8 else draw.uniform(4, steps / 2)
        return np.exp(-2.0 * (np.sin(np.pi * gap_TT / period) / draw.uniform(0.4, 2.0)) ** 2)
    scaled_T = time_T / steps - draw.uniform(0, 1)
    return 0.1 + scaled_T[:, None] * scaled_T  # a trend
