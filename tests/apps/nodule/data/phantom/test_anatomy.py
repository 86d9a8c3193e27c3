from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.phantom.anatomy import AIRWAY, VESSEL, Anatomy, make_chest
from tests.apps.nodule.data.phantom.chests import coarse_chest


@pytest.fixture(scope="module")
def chest() -> Anatomy:
    return coarse_chest()


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    first, again, other = (make_chest(seed, 4.0) for seed in (11, 11, 12))
    assert again.hu_DHW.tobytes() == first.hu_DHW.tobytes()
    assert again.lung_DHW.tobytes() == first.lung_DHW.tobytes()
    assert again.label_DHW.tobytes() == first.label_DHW.tobytes()
    assert (other.hu_DHW != first.hu_DHW).mean() > 0.3


def test_a_chest_has_two_lungs_of_dark_parenchyma(chest: Anatomy) -> None:
    mask = chest.lung_mask_DHW
    sizes = np.sort(np.bincount(ndimage.label(mask)[0].ravel())[1:])[::-1] * 8e-6
    assert 1.2 < sizes[1] <= sizes[0] < 3.8
    bare = mask & (chest.label_DHW == 0)
    assert -940 < np.median(chest.hu_DHW[bare]) < -800
    assert chest.hu_DHW.dtype == np.int16
    assert -1024 <= chest.hu_DHW.min() < chest.hu_DHW.max() <= 3071


def test_vessels_reach_the_whole_lung(chest: Anatomy) -> None:
    mask = chest.lung_mask_DHW
    vessel = chest.label_DHW == VESSEL
    assert not vessel[~mask].any()
    assert 0.001 < vessel.sum() / mask.sum() < 0.06
    gap = ndimage.distance_transform_edt(~(vessel | ~mask)) * 2.0
    assert np.percentile(gap[mask], 95) < 32
    assert np.median(chest.hu_DHW[vessel]) > -500


def test_airways_are_air_within_walls(chest: Anatomy) -> None:
    trachea = np.rint((np.array([240.0, -1.0, 0.0]) - chest.affine[:3, 3][::-1]) / 2).astype(int)
    z, y, x = trachea
    assert chest.hu_DHW[z, y - 2 : y + 3, x].min() < -980
    assert chest.hu_DHW[z, y - 8 : y + 9, x].max() > -200
    assert (chest.label_DHW == AIRWAY).sum() > 200


def test_the_grid_lies_in_lps(chest: Anatomy) -> None:
    assert np.linalg.det(chest.affine[:3, [2, 1, 0]]) == pytest.approx(8.0)
    hu = chest.hu_DHW
    x = chest.affine[0, 3] + 2 * np.arange(hu.shape[2])
    mask = chest.lung_mask_DHW
    # the heart takes from the left lung (x > 0)
    assert mask[:, :, x > 0].sum() < mask[:, :, x < 0].sum()
    y = chest.affine[1, 3] + 2 * np.arange(hu.shape[1])
    bone = (hu > 400)[:, :, np.abs(x) < 12].sum((0, 2))
    assert (bone * y).sum() / bone.sum() > 30  # the spine lies behind


def test_no_lump_floats_in_the_lung(chest: Anatomy) -> None:
    """Nothing solid, compact and free of vessels may resemble a nodule that nobody marked."""
    solid = (chest.hu_DHW > -300) & chest.lung_mask_DHW & (chest.label_DHW == 0)
    core = ndimage.binary_opening(
        solid & (ndimage.distance_transform_edt(chest.lung_mask_DHW) > 4), iterations=2
    )
    assert core.sum() == 0
