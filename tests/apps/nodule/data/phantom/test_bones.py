from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom.anatomy import _grid
from apps.nodule.data.phantom.bones import CARTILAGE, draw_bones

GRID = _grid(2.0)


@pytest.fixture(scope="module")
def build() -> form.Build:
    return form.draw_build(np.random.default_rng(3))


@pytest.fixture(scope="module")
def hu(build: form.Build) -> np.ndarray:
    volume = np.full(GRID.shape, 40.0, np.float32)
    draw_bones(volume, GRID, build, np.random.default_rng(0))
    return volume


def test_bone_is_dense_and_rare(hu: np.ndarray) -> None:
    bone = hu > 150
    assert 0.01 < bone.mean() < 0.10
    assert 600 < np.percentile(hu[bone], 90) < 1100
    assert np.isfinite(hu).all()


def test_vertebrae_alternate_with_discs(hu: np.ndarray, build: form.Build) -> None:
    z = GRID.axes_mm()[0][:, 0, 0]
    middle = form.spine_y_at(build, z)
    rows = np.rint((middle - GRID.origin_mm[1]) / 2).astype(int)
    column = round(-GRID.origin_mm[2] / 2)
    core = np.array([hu[k, row, column - 2 : column + 3].mean() for k, row in enumerate(rows)])
    discs = np.abs(core - 75) < 25
    assert 0.08 < discs.mean() < 0.45
    assert np.count_nonzero(np.diff(discs.astype(int)) == 1) >= 10


def test_ribs_lie_outside_the_cage_on_both_sides(hu: np.ndarray, build: form.Build) -> None:
    cage = form.cage(build, GRID.axes_mm())
    x = GRID.axes_mm()[2]
    lateral = (hu > 150) & (np.abs(x) > 0.6 * build.half_width) & (cage > -12)
    assert lateral.sum() > 10_000
    assert (cage[lateral] < 2.5).mean() > 0.98
    left, right = (lateral & (x > 0)).sum(), (lateral & (x < 0)).sum()
    assert 0.8 < left / right < 1.25


def test_cartilage_joins_ribs_to_the_sternum(hu: np.ndarray, build: form.Build) -> None:
    _, y, _ = GRID.axes_mm()
    front = (np.abs(hu - CARTILAGE) < 10) & (y < -0.4 * build.half_depth)
    assert front.sum() > 1000
