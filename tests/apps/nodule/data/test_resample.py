"""Positions in the patient survive resampling, whatever the scan's orientation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.resample import AIR_HU, PatientGrid, bounds_mm, to_patient_grid
from apps.nodule.data.volume import Volume
from tests.apps.nodule.bodies import affine_around, orientation

NAMES = ("axial", "flipped", "coronal", "sagittal", "oblique", "sheared")
BLOB_MM = np.array([-41.3, 17.8, -63.2])
SIGMA_MM = 4.0


def blob(name: str) -> Volume:
    """A Gaussian bump of 1000 HU, 4 mm wide, off the middle of a small scan."""
    shape = (36, 44, 52)
    affine = affine_around(orientation(name, (1.7, 1.1, 0.9)), shape, BLOB_MM + np.array([3.1, -2.3, 4.2]))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    away2 = ((world - BLOB_MM) ** 2).sum(axis=-1)
    return Volume(np.float32(-1000 + 1000 * np.exp(-away2 / (2 * SIGMA_MM**2))), affine, name)


def every_index(grid: PatientGrid) -> np.ndarray:
    return np.argwhere(np.ones(grid.hu_DHW.shape, dtype=bool))


@pytest.mark.parametrize("name", NAMES)
def test_a_blob_is_found_where_it_lies(name: str) -> None:
    grid = to_patient_grid(blob(name), 1.0)
    weight_DHW = np.clip(grid.hu_DHW + 950, 0, None)
    centre = grid.to_world(np.array([ndimage.center_of_mass(weight_DHW)]))[0]
    assert np.linalg.norm(centre - BLOB_MM) < 0.1
    brightest = np.array([np.unravel_index(np.argmax(grid.hu_DHW), grid.hu_DHW.shape)])
    assert (
        np.linalg.norm(grid.to_world(brightest)[0] - BLOB_MM) < 1.1
    )  # the diagonal of half a voxel, and a little for interpolation
    assert grid.hu_DHW.max() > -60


@pytest.mark.parametrize("name", NAMES)
def test_each_path_equals_a_plain_twin(name: str) -> None:
    """The twin asks the volume for each voxel's position, one by one, and interpolates between eight neighbours."""
    volume = blob(name)
    grid = to_patient_grid(volume, 1.3)
    at = volume.to_index(grid.to_world(every_index(grid)))
    inside = ((at >= 1e-6) & (at <= np.array(volume.hu_DHW.shape) - 1 - 1e-6)).all(axis=1)
    assert inside.mean() > 0.2
    twin = ndimage.map_coordinates(volume.hu_DHW, at[inside].T, order=1)
    np.testing.assert_allclose(grid.hu_DHW.ravel()[inside], twin, atol=0.02)
    outside = ((at < -1) | (at > np.array(volume.hu_DHW.shape))).any(axis=1)
    assert (grid.hu_DHW.ravel()[outside] == AIR_HU).all()


def test_both_paths_agree_on_the_same_patient() -> None:
    """The array turned round and the affine with it: the same data, but no longer the fast path."""
    axial = blob("axial")
    turned = Volume(
        np.ascontiguousarray(axial.hu_DHW.transpose(2, 0, 1)), axial.affine[:, [2, 0, 1, 3]], "turned"
    )
    fast, general = to_patient_grid(axial, 0.8), to_patient_grid(turned, 0.8)
    assert fast.hu_DHW.shape == general.hu_DHW.shape
    np.testing.assert_allclose(fast.origin_mm, general.origin_mm)
    inner = (slice(1, -1),) * 3  # on the border rounding decides what is outside
    np.testing.assert_allclose(fast.hu_DHW[inner], general.hu_DHW[inner], atol=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_a_box_is_cut_where_it_was_asked_for(name: str) -> None:
    volume = blob(name)
    low, high = BLOB_MM - (6, 7, 8), BLOB_MM + np.array([9, 5, 7])
    grid = to_patient_grid(volume, 1.0, low, high)
    np.testing.assert_allclose(grid.origin_mm, low)
    assert grid.hu_DHW.shape == (16, 13, 16)
    whole = to_patient_grid(volume, 1.0)
    same = whole.to_index(grid.to_world(every_index(grid)))
    twin = ndimage.map_coordinates(whole.hu_DHW, same.T, order=1).reshape(grid.hu_DHW.shape)
    assert np.abs(twin - grid.hu_DHW).max() < 40  # interpolated once more


def test_a_box_beyond_the_volume_is_cut_to_it() -> None:
    volume = blob("axial")
    low, high = bounds_mm(volume)
    grid = to_patient_grid(volume, 1.0, low - 50, high + 50)
    np.testing.assert_allclose(grid.origin_mm, low)
    assert grid.hu_DHW.shape == to_patient_grid(volume, 1.0).hu_DHW.shape


@pytest.mark.parametrize("name", NAMES)
def test_bounds_hold_every_voxel(name: str) -> None:
    volume = blob(name)
    world = volume.to_world(np.argwhere(np.ones(volume.hu_DHW.shape, dtype=bool)))
    low, high = bounds_mm(volume)
    np.testing.assert_allclose(low, world.min(axis=0))
    np.testing.assert_allclose(high, world.max(axis=0))


def test_world_and_index_are_inverse() -> None:
    grid = PatientGrid(np.zeros((2, 3, 4), np.float32), 0.8, np.array([-10.0, 20.0, -300.0]))
    np.testing.assert_allclose(grid.to_world(np.array([[1, 2, 3]])), [[-7.6, 21.6, -299.2]])
    index = np.array([[0.5, 1.25, 2.0], [1, 0, 3]])
    np.testing.assert_allclose(grid.to_index(grid.to_world(index)), index)


def test_thin_volumes_have_a_voxel() -> None:
    volume = Volume(
        np.full((1, 5, 5), 7, np.int16),
        affine_around(orientation("axial", (1, 1, 1)), (1, 5, 5), (0, 0, 0)),
        "x",
    )
    assert to_patient_grid(volume, 3.0).hu_DHW.tolist() == [[[7, 7], [7, 7]]]
