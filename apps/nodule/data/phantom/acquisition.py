"""A simple scanner: noise-free anatomy to a CT volume with the blur and the correlated noise of its kernel.

Resolution: slice profile (box of the slice's thickness) and point spread of the kernel, as weights along each axis.
Noise: power spectrum |f| * MTF(f)^2 in the plane of the slice, as filtered back projection makes it (Riederer,
Pelc & Chesler 1978, doi:10.1088/0031-9155/23/3/008), standard deviation by dose, slice thickness and the body's
attenuation along rows and columns (shoulders get streaky noise).
Axes: D slices (z), H rows (y), W columns (x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, special

from apps.nodule.data.phantom.anatomy import Anatomy
from apps.nodule.data.volume import Volume

MAX_MATRIX = 512
PADDING_HU = -1024
AIR_HU = np.float32(-1000)
_ATTENUATION = 0.018  # of water, per mm
_NOISE_HU = 22.0  # soft kernel, 1 mm slices, dose 1, in the middle of an average chest
_SHARES = 0.5  # how far the tube current follows the body (1: noise the same in every slice)


@dataclass(frozen=True)
class Kernel:
    """Point spread: (1 + edge) Gaussians of sigma_mm minus edge Gaussians of wide_mm."""

    sigma_mm: float
    edge: float = 0.0
    wide_mm: float = 1.0

    def spread(self, gap_mm: np.ndarray) -> np.ndarray:
        """Return the point spread at distances in mm (along one axis, not normalised)."""
        narrow = np.exp(-0.5 * (gap_mm / self.sigma_mm) ** 2) / self.sigma_mm
        wide = np.exp(-0.5 * (gap_mm / self.wide_mm) ** 2) / self.wide_mm
        return (1 + self.edge) * narrow - self.edge * wide

    def mtf(self, frequency: np.ndarray) -> np.ndarray:
        """Return the modulation transfer, 1 at frequency 0, at frequencies in 1/mm, of any shape."""
        narrow = np.exp(-2 * (np.pi * frequency * self.sigma_mm) ** 2)
        wide = np.exp(-2 * (np.pi * frequency * self.wide_mm) ** 2)
        return (1 + self.edge) * narrow - self.edge * wide


KERNELS = {
    "soft": Kernel(0.62),  # like B30
    "standard": Kernel(0.52, 0.25, 0.95),  # like B40-B45
    "sharp": Kernel(0.44, 0.70, 0.80),  # like B60
}


def acquire(
    anatomy: Anatomy,
    spacing: tuple[float, float],
    thickness: float,
    kernel: str,
    dose: float,
    rng: np.random.Generator,
    uid: str = "phantom",
) -> Volume:
    """Scan an anatomy.

    spacing: distance of slices and size of pixels, mm. thickness: of slices, mm. kernel: one of KERNELS.
    dose: 1 gives about 8 HU of noise in 3 mm slices of the soft kernel; noise grows as its square root falls.
    Returns int16 HU in a square matrix (at most 512), the circle of view centred on the body; -1024 outside it.
    Raises ValueError for a kernel that is not known, and for a length or dose that is not above 0.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}, wanted one of {', '.join(KERNELS)}")
    if min(*spacing, thickness, dose) <= 0:
        raise ValueError(f"spacing {spacing}, thickness {thickness} and dose {dose} must be above 0")
    axes = _output_axes(anatomy, spacing)
    weights = _weights(anatomy, axes, thickness, KERNELS[kernel])
    blurred = _resample_z(anatomy, weights[0])
    loudness = noise_map(blurred, anatomy.spacing_mm, weights[1], weights[2])
    sigma = noise_sigma(KERNELS[kernel], spacing[1], thickness, dose)
    noise = NoiseMaker(KERNELS[kernel], (len(axes[1]), len(axes[2])), spacing[1], thickness / spacing[0], rng)
    inside = _circle(len(axes[1]))
    out = np.full([len(a) for a in axes], PADDING_HU, np.int16)
    for k in range(len(out)):
        clean = weights[1] @ (blurred[k] - AIR_HU) @ weights[2].T + AIR_HU
        hu = np.clip(clean + sigma * noise.next_slice() * loudness(k), PADDING_HU, 3071)
        out[k][inside] = np.rint(hu[inside])
    return Volume(out, _affine(axes, spacing), uid)


def _output_axes(anatomy: Anatomy, spacing: tuple[float, float]) -> list[np.ndarray]:
    """Return the positions of slices, rows and columns, mm."""
    shape = np.array(anatomy.hu_DHW.shape)
    low = anatomy.affine[:3, 3][::-1]
    extent = (shape - 1) * anatomy.spacing_mm
    slices = int(extent[0] / spacing[0])
    matrix = min(MAX_MATRIX, int(np.ceil(1.02 * extent[2] / spacing[1])))
    middle = low + extent / 2
    flat = (np.arange(matrix) - (matrix - 1) / 2) * spacing[1]
    return [low[0] + (np.arange(slices) + 0.5) * spacing[0], middle[1] + flat, middle[2] + flat]


def _affine(axes: list[np.ndarray], spacing: tuple[float, float]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, spacing[1]], [0, spacing[1], 0], [spacing[0], 0, 0]]
    affine[:3, 3] = axes[2][0], axes[1][0], axes[0][0]
    return affine


def _weights(anatomy: Anatomy, axes: list[np.ndarray], thickness: float, kernel: Kernel) -> list[np.ndarray]:
    """Return, for each axis, how much of each anatomical plane enters each output plane: (out, in).

    Rows sum to 1; beyond the anatomy, where there is air, to 0.
    """
    weights = []
    low = anatomy.affine[:3, 3][::-1]
    for axis, wanted in enumerate(axes):
        source = low[axis] + anatomy.spacing_mm * np.arange(anatomy.hu_DHW.shape[axis])
        beyond = (wanted < source[0] - anatomy.spacing_mm) | (wanted > source[-1] + anatomy.spacing_mm)
        gap = np.clip(wanted, source[0], source[-1])[:, None] - source[None, :]
        if axis == 0:
            # the anatomy's own voxel blurs by 0.29 spacing; the rest of the profile's rounded edges comes on top
            edge = 0.4 * max(anatomy.spacing_mm, 0.6) * np.sqrt(2)
            weight = special.erf((gap + thickness / 2) / edge) - special.erf((gap - thickness / 2) / edge)
        else:
            weight = kernel.spread(gap / max(anatomy.spacing_mm, 1.0))
        weight /= weight.sum(1, keepdims=True)
        weight[beyond] = 0
        weights.append(weight.astype(np.float32))
    return weights


def _resample_z(anatomy: Anatomy, weight: np.ndarray) -> np.ndarray:
    """Apply the slice profile; each output slice touches few input slices, so only those are summed."""
    out = np.empty((len(weight), *anatomy.hu_DHW.shape[1:]), np.float32)
    for k, row in enumerate(weight):
        used = np.flatnonzero(row > 1e-5)
        part = row[used[0] : used[-1] + 1]
        out[k] = np.tensordot(part / part.sum(), anatomy.hu_DHW[used[0] : used[-1] + 1].astype(np.float32), 1)
    return out


def noise_map(
    hu_DHW: np.ndarray, spacing_mm: float, weight_y: np.ndarray, weight_x: np.ndarray
) -> Callable[[int], np.ndarray]:
    """Return a function of the slice that gives the noise's relative deviation (H, W), 1 on average in the body."""
    density = np.clip(hu_DHW / 1000 + 1, 0, 2)
    along_x = density.sum(2) * (spacing_mm * _ATTENUATION)
    along_y = density.sum(1) * (spacing_mm * _ATTENUATION)
    middle = np.median(along_x.max(1) + along_y.max(1))
    lag = (1 - _SHARES) * (along_x.max(1) + along_y.max(1) - middle)
    across, down = along_x @ weight_y.T, along_y @ weight_x.T
    level = np.exp(0.5 * (across.max(1) + down.max(1)))

    def loudness(k: int) -> np.ndarray:
        power = 0.5 * (np.exp(across[k])[:, None] + np.exp(down[k])[None, :]) / level[k]
        return np.sqrt(np.clip(power, 0.15, 6)) * np.exp(0.25 * lag[k])

    return loudness


def noise_sigma(kernel: Kernel, pixel_mm: float, thickness_mm: float, dose: float) -> float:
    """Return the noise's standard deviation, HU: the same raw data are noisier through a sharper kernel."""
    return _NOISE_HU * np.sqrt(_power(kernel, pixel_mm) / _power(KERNELS["soft"], 0.7) / thickness_mm / dose)


def _power(kernel: Kernel, pixel_mm: float) -> float:
    f = np.linspace(0, 0.5 / pixel_mm, 256)
    return float(np.trapezoid(f * f * kernel.mtf(f) ** 2, f))


def _circle(matrix: int) -> np.ndarray:
    offsets = np.arange(matrix) - (matrix - 1) / 2
    return np.asarray(np.hypot(offsets[:, None], offsets[None, :]) <= matrix / 2)


class NoiseMaker:
    """Makes slices of noise (deviation 1) with the kernel's power spectrum; neighbours correlate where they overlap."""

    def __init__(
        self,
        kernel: Kernel,
        shape: tuple[int, int],
        pixel_mm: float,
        overlap: float,
        rng: np.random.Generator,
    ) -> None:
        self._shape, self._rng = shape, rng
        fy = fft.fftfreq(shape[0], pixel_mm)[:, None]
        fx = fft.rfftfreq(shape[1], pixel_mm)[None, :]
        f = np.hypot(fy, fx)
        gain = np.sqrt(f + 0.01) * kernel.mtf(f) * (f <= 0.5 / pixel_mm)
        twice = np.full(gain.shape[1], 2.0)
        twice[0] = 1.0
        if shape[1] % 2 == 0:
            twice[-1] = 1.0
        self._gain = (gain / np.sqrt((gain**2 * twice).sum() / (shape[0] * shape[1]))).astype(np.float32)
        self._mix = float(np.clip(overlap - 1, 0.08, 1))
        self._last = self._draw()

    def _draw(self) -> np.ndarray:
        white = self._rng.standard_normal(self._shape, np.float32)
        return np.asarray(fft.irfft2(fft.rfft2(white) * self._gain, self._shape))

    def next_slice(self) -> np.ndarray:
        """Return the next slice of noise (H, W), float32."""
        fresh = self._draw()
        mixed = (fresh + self._mix * self._last) / np.float32(np.sqrt(1 + self._mix**2))
        self._last = fresh
        return np.asarray(mixed)
