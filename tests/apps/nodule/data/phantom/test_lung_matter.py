from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom import lung_matter
from apps.nodule.data.phantom.anatomy import _grid

GRID = _grid(4.0)


@pytest.fixture(scope="module")
def build() -> form.Build:
    return form.draw_build(np.random.default_rng(0))


@pytest.fixture(scope="module")
def lung(build: form.Build) -> np.ndarray:
    return form.lungs(build, GRID, np.random.default_rng(0)) > 0


def test_parenchyma_is_darker_in_front(build: form.Build, lung: np.ndarray) -> None:
    y = GRID.axes_mm()[1]
    for seed in range(6):
        hu = lung_matter.parenchyma(build, GRID, np.random.default_rng(seed))
        assert -960 < hu[lung].mean() < -790
        back, front = hu[lung & (y > 30)].mean(), hu[lung & (y < -30)].mean()
        assert back > front + 5


def test_grain_is_the_same_in_any_box() -> None:
    grain = lung_matter.Grain(1.0, np.random.default_rng(0))
    whole, part = grain.box((0, 0, 0), (30, 40, 50)), grain.box((10, 5, 0), (8, 9, 50))
    assert np.array_equal(whole[10:18, 5:14], part)
    assert 10 < whole.std() < 30


def test_surface_points_lie_on_the_rim(lung: np.ndarray) -> None:
    points = lung_matter.surface_points(lung, GRID)
    index = np.rint(GRID.index(points)).astype(int)
    assert len(points) > 3000
    assert lung[tuple(index.T)].all()
    assert len(points) < 0.6 * lung.sum()


def test_scars_and_plates_are_small_and_inside_the_cover(build: form.Build, lung: np.ndarray) -> None:
    surface = lung_matter.surface_points(lung, GRID)
    for seed in range(4):
        cover = np.zeros(GRID.shape, np.float32)
        rng = np.random.default_rng(seed)
        lung_matter.scars(cover, GRID, surface, build, rng)
        lung_matter.plates(cover, GRID, surface, build, rng)
        assert 0 < cover.max() <= 1
        assert cover.sum() < 0.02 * lung.sum()


def test_a_disc_is_flat_and_round() -> None:
    grid = _grid(1.0)
    cover = np.zeros(grid.shape, np.float32)
    lung_matter.disc(cover, grid, np.array([100.0, 0.0, 50.0]), 15.0, 1.0, np.random.default_rng(1))
    where = np.argwhere(cover > 0.5)
    flatness = np.sqrt(np.linalg.eigvalsh(np.cov(where.T)))
    assert len(where) > 150
    assert flatness[0] < 0.4 * flatness[2]
    lung_matter.disc(cover, grid, np.array([900.0, 0.0, 0.0]), 15.0, 1.0, np.random.default_rng(1))
    assert len(np.argwhere(cover > 0.5)) == len(where)


def test_caps_and_plaques_only_add(build: form.Build) -> None:
    grown = [lung_matter.pleura_growth(build, GRID, np.random.default_rng(s)) for s in range(10)]
    assert all(g.shape == GRID.shape and g.min() > -6 for g in grown)
    assert any(g.max() > 1.5 for g in grown)
    assert any(g.max() < 0.1 for g in grown)
