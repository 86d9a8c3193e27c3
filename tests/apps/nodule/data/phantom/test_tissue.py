from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom.anatomy import _grid
from apps.nodule.data.phantom.tissue import nodes, soft_tissue

GRID = _grid(4.0)


@pytest.fixture(scope="module")
def build() -> form.Build:
    return form.draw_build(np.random.default_rng(0))


@pytest.fixture(scope="module")
def hu(build: form.Build) -> np.ndarray:
    return soft_tissue(build, GRID, np.random.default_rng(0))


def at(hu: np.ndarray, z: float, y: float, x: float) -> float:
    index = np.rint(GRID.index(np.array([[z, y, x]]))[0]).astype(int)
    low, high = np.maximum(index - 1, 0), index + 2
    return float(np.median(hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]))


def test_organs_have_their_hu(hu: np.ndarray, build: form.Build) -> None:
    assert at(hu, 60, -130, -180) == pytest.approx(-1000, abs=1)  # air before the body
    assert at(hu, 66, -0.22 * build.half_depth, 30) == pytest.approx(build.blood_hu, abs=15)
    liver = 95 if build.blood_hu > 100 else 58
    assert at(hu, -10, -10, -60) == pytest.approx(liver, abs=15)
    assert at(hu, 0.5 * build.height, build.spine_y - 16, form.AORTA_X) == pytest.approx(
        build.blood_hu, abs=15
    )


def test_the_wall_is_fat_and_muscle(hu: np.ndarray, build: form.Build) -> None:
    axes = GRID.axes_mm()
    wall = (form.cage(build, axes) < -4) & (form.body(build, axes) > 4)
    assert wall.sum() > 20_000
    fat, muscle = np.abs(hu[wall] + 100) < 35, np.abs(hu[wall] - 55) < 35
    assert 0.1 < fat.mean() < 0.8
    assert 0.15 < muscle.mean() < 0.85


def test_lymph_nodes_lie_near_hila_and_trachea(build: form.Build) -> None:
    tree = [node for seed in range(20) for node in nodes(build, np.random.default_rng(seed))]
    assert len(tree) > 120
    for centre, radius in tree:
        assert 3 <= radius <= 7.5
        assert abs(centre[2]) <= 52
        assert abs(centre[0] - build.hilum_z) < 80
