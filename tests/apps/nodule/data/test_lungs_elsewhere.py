"""Bodies that tempt: bowel under the lungs, and parts without any lung. Noise as in a usual scan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.lungs import FACES, Lungs, find_lungs, lung_mask
from tests.apps.nodule.bodies import AIR, LUNG, TISSUE, Body

GRID = (3.0, 3.0, 3.0)
SHAPE = (70, 64, 84)  # 210 × 192 × 252 mm
GAS, STOOL, BONE, FAT = -950.0, 40.0, 900.0, -90.0
BODY = Body((110.0, 80.0), (40.0, 55.0, 60.0), 52.0)


def axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, y, x = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == i else 1 for a in range(3)]) * 3.0
        for i, n in enumerate(SHAPE)
    )
    return x, y, z


X, Y, Z = axes()


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.asarray((X - centre[0]) ** 2 + (Y - centre[1]) ** 2 + (Z - centre[2]) ** 2 < radius**2)


def noisy(hu: np.ndarray, sigma: float = 30.0) -> np.ndarray:
    return (hu + np.random.default_rng(1).normal(0, sigma, hu.shape)).astype(np.float32)


def trunk(lungs: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """HU of a trunk whose lungs end 60 mm above and below the middle, and where they are."""
    hu = np.array(np.broadcast_to(BODY.hu(X, Y, Z), SHAPE))
    inside = np.broadcast_to(BODY.in_lungs(X, Y, Z), SHAPE)
    if not lungs:
        hu[inside] = TISSUE
    return hu, np.array(inside)


def lungs_of(hu: np.ndarray, sigma: float = 30.0) -> Lungs:
    return find_lungs(noisy(hu, sigma), GRID)


@pytest.mark.parametrize("gas_hu", [-1000.0, GAS])
@pytest.mark.parametrize("wall_mm", [0.0, 3.0, 6.0])
def test_stool_in_gas_under_the_diaphragm_is_not_searched(gas_hu: float, wall_mm: float) -> None:
    """A pocket of gas 3 mm or less under the lung: the diaphragm is lost on a grid of 3 mm."""
    hu, lung = trunk()
    pocket = ball((52.0, 0.0, -60.0 - wall_mm - 24.0), 24.0) & ~lung
    stool = ball((52.0, 0.0, -60.0 - wall_mm - 24.0), 12.0) | ball((52.0, 0.0, -60.0 - wall_mm - 9.0), 5.0)
    hu[pocket] = gas_hu
    hu[stool & pocket] = STOOL
    lungs = lungs_of(hu)
    for closing in (12.0, 50.0):
        mask = lungs.closed(closing)
        assert mask[lung].mean() > 0.999
        assert not mask[ball((52.0, 0.0, -60.0 - wall_mm - 24.0), 12.0)].any()
        assert mask[stool & pocket].mean() < 0.05
    assert lungs.bowel_DHW[pocket & ~stool].mean() > 0.5


def test_stool_mixed_with_gas_is_not_a_lung() -> None:
    hu, _ = trunk(lungs=False)
    colon = (np.abs(X - 70) < 25) & (np.abs(Y) < 25) & (np.abs(Z) < 60)
    mottled = np.random.default_rng(2).choice([GAS, STOOL], hu.shape, p=[0.6, 0.4])
    hu = np.where(colon, mottled, hu)
    assert not lungs_of(hu).air_DHW.any()


def head() -> np.ndarray:
    """A skull shell with brain, an air-filled sinus with a polyp, and cells of the mastoid."""
    outer = np.sqrt((X / 75) ** 2 + (Y / 90) ** 2 + (Z / 95) ** 2)
    hu = np.where(outer < 1, BONE, AIR)
    hu = np.where(outer < 0.92, 35.0, hu)
    sinus = ball((20.0, -55.0, -30.0), 22.0)
    hu = np.where(sinus, -980.0, hu)
    hu = np.where(ball((20.0, -55.0, -45.0), 8.0), 30.0, hu)
    mastoid = ball((60.0, 20.0, -40.0), 12.0)
    return np.where(mastoid, np.random.default_rng(3).choice([-900.0, BONE], hu.shape), hu)


def legs() -> np.ndarray:
    """Two legs with bones, under a blanket."""
    hu = np.full(SHAPE, AIR)
    for side in (-50, 50):
        hu = np.where((X - side) ** 2 + Y**2 + 0 * Z < 40**2, TISSUE, hu)
        hu = np.where((X - side) ** 2 + Y**2 + 0 * Z < 14**2, BONE, hu)
    blanket = (np.abs(Y + 55) < 8) & (np.abs(X) < 110) & (Z > -1000)
    return np.where(blanket, -880.0, hu)


def pelvis() -> np.ndarray:
    """Pockets of gas with stool in them, in fat."""
    hu, _ = trunk(lungs=False)
    for x, y, z, radius in ((30, -20, 0, 22), (-40, 10, 30, 26), (0, 40, -50, 18)):
        hu[ball((x, y, z), radius)] = GAS
        hu[ball((x, y + radius / 2, z), radius / 2)] = STOOL
    return hu


@pytest.mark.parametrize("make", [head, legs, pelvis])
@pytest.mark.parametrize("sigma", [10.0, 60.0])
def test_parts_without_lungs_have_none(make, sigma: float) -> None:  # type: ignore[no-untyped-def]
    lungs = lungs_of(make(), sigma)
    assert not lungs.air_DHW.any()
    assert lungs.cavities == 0
    assert not lungs.closed().any()


def test_a_phantom_filled_with_air_is_searched_and_counted() -> None:
    hu = np.where((X / 110) ** 2 + (Y / 80) ** 2 + 0 * Z < 1, TISSUE, AIR)
    cavity = (X / 90) ** 2 + (Y / 60) ** 2 + (Z / 70) ** 2 < 1  # 1.6 litres
    hu = np.where(cavity, -1000.0, hu)
    hu = np.where(ball((40.0, 0.0, 0.0), 8.0), 100.0, hu)
    lungs = lungs_of(hu)
    assert lungs.cavities == 1
    assert lungs.closed()[cavity].mean() > 0.99


def test_a_pneumothorax_stays_with_its_lung() -> None:
    """The right lung has collapsed to a third, gas around it; a nodule lies in what is left."""
    hu, lung = trunk()
    right = lung & np.broadcast_to(X < 0, SHAPE)
    hu[right] = -1000.0
    hu[ball((-40.0, 10.0, -10.0), 26.0) & right] = -600.0
    lungs = lungs_of(hu)
    assert lungs.closed()[lung].mean() > 0.99
    assert not lungs.bowel_DHW.any()


def test_one_lung_without_the_other() -> None:
    hu, lung = trunk()
    left = lung & np.broadcast_to(X > 0, SHAPE)
    hu[left] = 10.0  # fluid
    mask = lungs_of(hu).closed()
    assert mask[lung & ~left].mean() > 0.999
    assert not mask[left & np.broadcast_to(X > 30, SHAPE)].any()


@pytest.mark.parametrize("mean", [-925.0, -940.0])
def test_emphysema_is_lung(mean: float) -> None:
    """Mostly destroyed, with less destroyed parts between."""
    hu, lung = trunk()
    patches = np.sin(X / 9) + np.sin(Y / 9) + np.sin(Z / 9) > 0.9
    hu[lung] = mean
    hu[lung & patches] = -860.0
    mask = lungs_of(hu).closed()
    assert mask[lung].mean() > 0.99


@pytest.mark.parametrize(
    "cut", [np.s_[:, :, 20:64], np.s_[:, 18:46, 18:66], np.s_[:, :, :42], np.s_[10:40, 20:44, 8:30]]
)
def test_lungs_cut_off_by_the_field_of_view(cut: tuple[slice, ...]) -> None:
    hu, lung = trunk()
    mask = lung_mask(noisy(hu)[cut], GRID)
    assert mask[lung[cut]].mean() > 0.99


@pytest.mark.parametrize("padding", [-1024.0, -2000.0, -3024.0])
def test_lungs_cut_off_by_a_circle_of_view_meet_its_padding(padding: float) -> None:
    hu, lung = trunk()
    circle = np.broadcast_to(X**2 + Y**2 < 70**2, SHAPE)
    hu = np.where(circle, noisy(hu), padding).astype(np.float32)
    rim = circle & ~ndimage.binary_erosion(circle, FACES, border_value=1)
    hu[rim] = (hu[rim] + padding) / 2  # as resampling leaves it
    mask = find_lungs(hu, GRID).closed()
    assert mask[lung & circle].mean() > 0.97
    assert not mask[~circle & (np.sqrt(X**2 + Y**2) + 0 * Z > 82)].any()


def test_a_blanket_in_a_room_without_noise_is_not_a_lung() -> None:
    assert not find_lungs(legs().astype(np.float32), GRID).air_DHW.any()


def test_a_child_has_small_dense_lungs() -> None:
    infant = Body((55.0, 42.0), (18.0, 26.0, 30.0), 26.0)  # 60 ml each
    hu = np.array(np.broadcast_to(infant.hu(X, Y, Z), SHAPE))
    lung = np.broadcast_to(infant.in_lungs(X, Y, Z), SHAPE)
    hu[lung] = -620.0
    mask = lungs_of(hu).closed()
    assert mask[lung].mean() > 0.99


def test_parenchyma_alone_fills_a_narrow_field_of_view() -> None:
    assert lung_mask(np.full((24, 30, 30), LUNG, np.float32), GRID).all()
