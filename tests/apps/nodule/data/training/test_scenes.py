from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.scenes import (
    AIRY_HU,
    DENSE_HU,
    MOST_PLACES,
    Scene,
    make_scene,
    read_scene,
    write_scene,
)
from core.runs.arrays import write_arrays
from tests.apps.nodule.bodies import Ball, Body, small_scan

INSIDE = Ball((40.0, 5.0, -10.0), 12.0)
FIELDS = ("hu_DHW", "centres_N3", "diameters_N", "airy_M3", "dense_M3")


@pytest.fixture(scope="module")
def box() -> LungBox:
    return lung_box(small_scan(Body(balls=(INSIDE,))), 1.0)


@pytest.fixture(scope="module")
def scene(box: LungBox) -> Scene:
    centres = np.array([INSIDE.centre_mm, (0.0, 300.0, 0.0)])
    return make_scene(box, centres, np.array([12.0, 9.0]), accepts=True)


def test_a_known_nodule_lies_at_its_voxel_and_one_outside_the_box_is_left_out(scene: Scene) -> None:
    assert len(scene.centres_N3) == 1
    assert scene.diameters_N.tolist() == [12.0]
    assert scene.hu_DHW.dtype == np.int16
    bright = np.argwhere(scene.hu_DHW > -400)
    near = bright[np.linalg.norm(bright - scene.centres_N3[0], axis=1) < 12]
    assert np.linalg.norm(near.mean(axis=0) - scene.centres_N3[0]) < 0.3


def test_places_lie_in_the_lungs_and_are_what_they_are_called(scene: Scene, box: LungBox) -> None:
    for positions in (scene.airy_M3, scene.dense_M3):
        assert len(positions) > 500
        assert box.mask_DHW[tuple(positions.T)].all()
        assert len(np.unique(positions, axis=0)) == len(positions)
    assert (scene.hu_DHW[tuple(scene.airy_M3.T)] < AIRY_HU).all()
    assert (scene.hu_DHW[tuple(scene.dense_M3.T)] > DENSE_HU).all()
    # the body's own truth: parenchyma lies within its ellipsoids
    x, y, z = box.grid.to_world(scene.airy_M3).T
    assert Body().in_lungs(x, y, z).mean() > 0.99


def test_many_positions_are_thinned_evenly(scene: Scene, box: LungBox) -> None:
    airy = box.mask_DHW & (scene.hu_DHW < AIRY_HU)
    assert airy.sum() > 3 * MOST_PLACES
    assert MOST_PLACES / 2 < len(scene.airy_M3) <= MOST_PLACES
    wanted = np.array([axis.mean() for axis in np.nonzero(airy)])
    assert np.abs(scene.airy_M3.mean(axis=0) - wanted).max() < 0.5


def test_values_are_rounded_and_kept_within_ct() -> None:
    hu = np.array([[[-2000.0, -700.4, 40.6, 9000.0]]], dtype=np.float32)
    grid = PatientGrid(hu, 1.0, np.zeros(3))
    made = make_scene(LungBox(grid, np.ones(hu.shape, bool)), np.zeros((0, 3)), np.zeros(0), accepts=False)
    assert made.hu_DHW.tolist() == [[[-1024, -700, 41, 3071]]]
    assert made.airy_M3.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert made.dense_M3.tolist() == [[0, 0, 2], [0, 0, 3]]
    assert made.centres_N3.shape == (0, 3)
    assert not made.accepts


@pytest.mark.parametrize("accepts", [True, False])
def test_what_is_written_is_read(scene: Scene, tmp_path: Path, accepts: bool) -> None:
    scene.accepts = accepts
    write_scene(tmp_path / "deep" / "x.npz", scene)
    made = read_scene(tmp_path / "deep" / "x.npz")
    assert made is not None
    assert made.accepts is accepts
    for name in FIELDS:
        mine, theirs = getattr(made, name), getattr(scene, name)
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs), name
    assert made.tempting_K3.shape == (0, 3)


def test_an_absent_or_damaged_file_holds_no_scene(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    assert read_scene(path) is None
    write_scene(path, scene)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 255
    damaged = [b"", b"no archive", whole[: len(whole) // 2], whole[:-10], bytes(changed)]
    for data in damaged:
        path.write_bytes(data)
        assert read_scene(path) is None
    write_arrays(path, {"hu": scene.hu_DHW})
    assert read_scene(path) is None
    path.write_bytes(whole)
    assert read_scene(path) is not None
