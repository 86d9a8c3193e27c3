"""The one volume type: where voxels lie and how large they are, sheared grids included."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from tests.apps.nodule.data.dicom_samples import chest_volume, grid_affine

SHEARED = grid_affine((0.96, 0.28, 0), (-0.28, 0.96, 0), (0, 0.6, 2.4))


def test_spacing_and_voxel_of_a_straight_grid() -> None:
    volume = chest_volume()
    np.testing.assert_allclose(volume.spacing_mm, (2.5, 0.8, 0.7))
    assert volume.voxel_mm3 == pytest.approx(2.5 * 0.8 * 0.7)


def test_a_sheared_voxel_is_smaller_than_its_edges_say() -> None:
    volume = chest_volume(SHEARED)
    np.testing.assert_allclose(volume.spacing_mm, (np.hypot(0.6, 2.4), 0.8, 0.7))
    assert volume.voxel_mm3 == pytest.approx(2.4 * 0.8 * 0.7)


def test_to_world_is_the_affine_written_out() -> None:
    volume = chest_volume(SHEARED)
    d, h, w = 3.0, 7.0, 11.0
    expected = np.array((-10.5, -20.25, 30.0)) + d * np.array((0, 0.6, 2.4))
    expected += h * 0.8 * np.array((-0.28, 0.96, 0)) + w * 0.7 * np.array((0.96, 0.28, 0))
    np.testing.assert_allclose(volume.to_world(np.array([[d, h, w]])), [expected], atol=1e-12)


def test_to_index_undoes_to_world() -> None:
    volume = chest_volume(SHEARED)
    index_N3 = np.random.default_rng(2).uniform(-5, 40, (50, 3))
    np.testing.assert_allclose(volume.to_index(volume.to_world(index_N3)), index_N3, atol=1e-9)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"hu_DHW has 2 axes, wanted 3 \(slices, rows, columns\)"):
        Volume(np.zeros((4, 4), np.int16), np.eye(4), "x")
    with pytest.raises(ValueError, match=r"affine has shape \(3, 3\), wanted \(4, 4\)"):
        Volume(np.zeros((4, 4, 4), np.int16), np.eye(3), "x")
