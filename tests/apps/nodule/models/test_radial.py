"""Outlines by rays: free, at a wall, with a cavity, or without any end."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.models.radial import radial_mask, reach_mm
from tests.apps.nodule.bodies import LUNG, TISSUE, affine_around, orientation

SHAPE = (60, 90, 90)
AFFINE = affine_around(orientation("axial", (2.0, 1.5, 1.5)), SHAPE, (10.0, -20.0, 30.0))
CENTRE = np.array([10.0, -20.0, 30.0])
THRESHOLD = -400.0


def scene() -> tuple[np.ndarray, np.ndarray]:
    """HU of lung, and the offset of each voxel from the centre, mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    offsets = index.reshape(-1, 3) @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE
    return np.full(SHAPE, LUNG, np.float32), offsets.reshape(*SHAPE, 3)


def diameter(hu: np.ndarray, offsets: np.ndarray, guess: float) -> float:
    volume = Volume(hu, AFFINE, "mass")
    mask = radial_mask(volume, CENTRE, offsets, THRESHOLD, guess)
    assert mask is not None
    return float(np.cbrt(6 * (mask & (hu >= THRESHOLD)).sum() * volume.voxel_mm3 / np.pi))


@pytest.mark.parametrize("radius", [15.0, 25.0, 40.0])
@pytest.mark.parametrize("guess", [0.5, 0.8, 1.1])
def test_a_free_mass_is_measured_whatever_the_guess(radius: float, guess: float) -> None:
    hu, offsets = scene()
    hu[np.linalg.norm(offsets, axis=-1) < radius] = TISSUE
    assert diameter(hu, offsets, guess * radius) == pytest.approx(2 * radius, rel=0.04)


@pytest.mark.parametrize("depth", [0.4, 0.7])
def test_a_wall_behind_a_mass_is_not_part_of_it(depth: float) -> None:
    """The wall begins at this many radii from the centre; a mass as large as its free part shows."""
    hu, offsets = scene()
    hu[np.linalg.norm(offsets, axis=-1) < 20] = TISSUE
    hu[offsets[..., 0] > depth * 20] = TISSUE
    assert diameter(hu, offsets, 14.0) == pytest.approx(40, rel=0.06)


def test_a_cavity_and_a_bronchus_do_not_end_a_mass() -> None:
    hu, offsets = scene()
    away = np.linalg.norm(offsets, axis=-1)
    hu[away < 22] = TISSUE
    hu[away < 7] = -950
    hu[(np.abs(offsets[..., 1]) < 3) & (np.abs(offsets[..., 0] - 12) < 3)] = -950
    mask = radial_mask(Volume(hu, AFFINE, "cavity"), CENTRE, offsets, THRESHOLD, 16.0)
    assert mask is not None
    assert mask[away < 20].mean() > 0.99


def test_solid_tissue_all_around_has_no_outline() -> None:
    hu, offsets = scene()
    assert radial_mask(Volume(hu + 900, AFFINE, "solid"), CENTRE, offsets, THRESHOLD, 20.0) is None


def test_the_reach_covers_masses_that_were_guessed_too_small() -> None:
    assert reach_mm(10) == 40
    assert reach_mm(20) == 60
    assert reach_mm(60) == 75
