from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from apps.nodule.data.phantom.acquisition import KERNELS, NoiseMaker, acquire, noise_map, noise_sigma
from apps.nodule.data.phantom.anatomy import Anatomy
from apps.nodule.data.volume import Volume
from tests.apps.nodule.data.phantom.chests import water_bath

QUIET = 1e9  # a dose without noise


def scan(
    anatomy: Anatomy,
    kernel: str = "soft",
    spacing: tuple[float, float] = (1.0, 0.7),
    thickness: float = 1.0,
    dose: float = QUIET,
    seed: int = 0,
) -> Volume:
    return acquire(anatomy, spacing, thickness, kernel, dose, np.random.default_rng(seed), "x")


def centre_patch(volume: Volume, half: int = 20) -> np.ndarray:
    h, w = (n // 2 for n in volume.hu_DHW.shape[1:])
    return volume.hu_DHW[:, h - half : h + half, w - half : w + half].astype(float)


def with_ball(centre: tuple[int, int, int], radius: float, hu: int) -> Anatomy:
    bath = water_bath()
    far = np.sqrt(((np.indices(bath.hu_DHW.shape).T - centre) ** 2).sum(-1)).T
    return replace(bath, hu_DHW=np.where(far <= radius, hu, bath.hu_DHW).astype(np.int16))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("spacing", "thickness"), [((1.0, 0.7), 1.0), ((2.5, 0.8), 3.0)])
def test_what_is_scanned_stays_where_it_is(
    kernel: str, spacing: tuple[float, float], thickness: float
) -> None:
    volume = scan(with_ball((19, 50, 75), 7, 300), kernel, spacing, thickness)
    mass = volume.hu_DHW.astype(float) - scan(water_bath(), kernel, spacing, thickness).hu_DHW
    index = np.indices(mass.shape).reshape(3, -1) @ mass.ravel() / mass.sum()
    assert volume.to_world(index[None])[0] == pytest.approx([15, -10, 19], abs=0.15)
    assert mass.sum() * volume.voxel_mm3 == pytest.approx(300 * 4 / 3 * np.pi * 7**3, rel=0.06)
    assert volume.spacing_mm == pytest.approx([spacing[0], spacing[1], spacing[1]])


def test_water_and_air_keep_their_hu_and_the_rest_is_padding() -> None:
    volume = scan(water_bath())
    assert volume.hu_DHW.dtype == np.int16
    assert np.abs(centre_patch(volume)).max() <= 1
    rows, columns = volume.hu_DHW.shape[1:]
    assert rows == columns
    assert (volume.hu_DHW[:, 0, 0] == -1024).all()
    assert volume.hu_DHW[5, rows // 2, 2] == -1000


def test_a_sharp_kernel_keeps_more_of_a_small_ball_than_a_soft_one() -> None:
    small = with_ball((20, 60, 60), 1.6, 1000)
    peaks = [scan(small, kernel).hu_DHW.max() for kernel in ("soft", "standard", "sharp")]
    assert peaks[0] < peaks[1] < peaks[2]


def test_thick_slices_dilute_small_things() -> None:
    small = with_ball((20, 60, 60), 1.6, 1000)
    thin = scan(small, thickness=1.0).hu_DHW.max()
    thick = scan(small, spacing=(4.0, 0.7), thickness=4.0).hu_DHW.max()
    assert thick < 0.75 * thin


def test_noise_follows_dose_and_thickness() -> None:
    def spread(**more: float) -> float:
        return float(centre_patch(scan(water_bath(), **more), 30).std())

    usual = spread(dose=1.0)
    assert spread(dose=0.25) == pytest.approx(2 * usual, rel=0.06)
    assert spread(dose=1.0, thickness=4.0) == pytest.approx(usual / 2, rel=0.06)
    assert noise_sigma(KERNELS["sharp"], 0.7, 1, 1) > 2 * noise_sigma(KERNELS["soft"], 0.7, 1, 1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_noise_spectrum_peaks_where_the_kernel_says(kernel: str) -> None:
    pixel, n = 0.7, 192
    maker = NoiseMaker(KERNELS[kernel], (n, n), pixel, 1.0, np.random.default_rng(0))
    slices = np.stack([maker.next_slice() for _ in range(24)])
    assert slices.std() == pytest.approx(1, abs=0.02)
    power = (np.abs(np.fft.fft2(slices)) ** 2).mean(0)
    f = np.hypot(np.fft.fftfreq(n, pixel)[:, None], np.fft.fftfreq(n, pixel)[None])
    rings = np.arange(0.01, 0.5 / pixel, 0.02)
    ring = np.digitize(f.ravel(), rings)
    measured = np.array([power.ravel()[ring == i].mean() for i in range(1, len(rings))])
    middle = (rings[:-1] + rings[1:]) / 2
    wanted = middle * KERNELS[kernel].mtf(middle) ** 2
    assert middle[np.argmax(measured)] == pytest.approx(middle[np.argmax(wanted)], abs=0.05)
    assert np.corrcoef(measured, wanted)[0, 1] > 0.98


def test_sharper_kernels_have_noise_of_higher_frequency() -> None:
    f = np.linspace(0.01, 0.7, 200)
    peaks = [f[np.argmax(f * KERNELS[k].mtf(f) ** 2)] for k in ("soft", "standard", "sharp")]
    assert peaks[0] < peaks[1] < peaks[2]


def test_overlapping_slices_share_noise() -> None:
    def correlation(overlap: float) -> float:
        maker = NoiseMaker(KERNELS["soft"], (64, 64), 0.7, overlap, np.random.default_rng(1))
        slices = [maker.next_slice().ravel() for _ in range(20)]
        pairs = pairwise(slices)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))

    assert correlation(1.0) < 0.2
    assert correlation(2.0) == pytest.approx(0.5, abs=0.05)


def test_noise_is_louder_behind_more_matter() -> None:
    bath = water_bath().hu_DHW.astype(np.float32)
    bath[20:] = -1000  # half of the slices hold nothing
    eye = np.eye(120, dtype=np.float32)
    loudness = noise_map(bath, 1.0, eye, eye)
    assert loudness(5)[60, 60] > 1.2 * loudness(5)[60, 3]
    assert loudness(5)[60, 60] > loudness(30)[60, 60]


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (scan(water_bath(), dose=1.0, seed=s).hu_DHW.tobytes() for s in (3, 3, 4))
    assert first == again != other


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="kernel is 'bone', wanted one of soft, standard, sharp"):
        scan(water_bath(), "bone")
    with pytest.raises(ValueError, match="thickness 0 and dose 1 must be above 0"):
        scan(water_bath(), thickness=0, dose=1)
