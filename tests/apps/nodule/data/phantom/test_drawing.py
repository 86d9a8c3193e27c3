from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom.drawing import (
    FineNoise,
    Grid,
    broad_noise,
    draw_cones,
    draw_tube,
    smooth_curve,
    upsample2,
)

GRID = Grid((41, 45, 49), 1.0, (-20.0, -22.0, -24.0))


def plain_cone(grid: Grid, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> np.ndarray:
    """The slow twin: the distance of every voxel from the axis of one tapering tube."""
    points = np.stack(np.broadcast_arrays(*grid.axes_mm()), -1).astype(float)
    t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    far = np.linalg.norm(points - a - t[..., None] * (b - a), axis=-1)
    return np.clip((ra + (rb - ra) * t - far) / grid.spacing_mm + 0.5, 0, 1)


def test_a_grid_knows_where_it_lies() -> None:
    z, y, x = GRID.axes_mm()
    assert (z[5, 0, 0], y[0, 6, 0], x[0, 0, 7]) == (-15, -16, -17)
    assert (GRID.affine @ [5, 6, 7, 1]).tolist() == [-17, -16, -15, 1]
    assert GRID.index(np.array([[-15, -16, -17]])).tolist() == [[5, 6, 7]]
    assert GRID.coarse() == Grid((21, 23, 25), 2.0, GRID.origin_mm)
    box = GRID.box(np.array([-30, -16.5, -17]), np.array([-15, -16, -16.5]))
    assert box == (slice(0, 6), slice(5, 7), slice(7, 9))
    assert GRID.box(np.array([90, 0, 0]), np.array([95, 5, 5])) is None


def test_upsampling_is_exact_on_a_ramp() -> None:
    z, y, x = np.meshgrid(np.arange(5.0), np.arange(4.0), np.arange(3.0), indexing="ij")
    fine = upsample2(2 * z - y + 3 * x)
    assert fine.shape == (9, 7, 5)
    z, y, x = np.meshgrid(np.arange(9) / 2, np.arange(7) / 2, np.arange(5) / 2, indexing="ij")
    assert np.allclose(fine, 2 * z - y + 3 * x)


def test_tubes_equal_their_slow_twin() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-25, 25, (30, 3)), rng.uniform(-25, 25, (30, 3))
    ra, rb = rng.uniform(0.6, 4, 30), rng.uniform(0.6, 4, 30)
    cover = np.zeros(GRID.shape, np.float32)
    draw_cones(cover, GRID, a, b, ra, rb)
    truth = np.max([plain_cone(GRID, *each) for each in zip(a, b, ra, rb, strict=True)], axis=0)
    assert 0.1 < truth.mean() < 0.9
    assert np.abs(cover - truth).max() < 1e-4


def test_a_thin_tube_keeps_its_section() -> None:
    points = np.array([[-15.0, 0.3, 0.2], [15.0, 0.3, 0.2]])
    sections = []
    for radius in (0.3, 0.6, 2.0):
        cover = np.zeros(GRID.shape, np.float32)
        draw_tube(cover, GRID, points, np.full(2, radius))
        sections.append(float(cover[20].sum()))
    assert sections[2] == pytest.approx(np.pi * 4, rel=0.03)
    assert sections[0] == pytest.approx(sections[1] / 4, rel=0.01)


def test_strength_and_maximum() -> None:
    cover = np.full(GRID.shape, 0.5, np.float32)
    points = np.array([[-5.0, 0, 0], [5.0, 0, 0]])
    draw_tube(cover, GRID, points, np.full(2, 3.0), strength=0.25)
    assert (cover == 0.5).all()
    draw_tube(cover, GRID, points, np.full(2, 3.0))
    assert cover.max() == 1.0
    draw_tube(cover, GRID, points + 500, np.full(2, 3.0))  # outside: nothing happens
    assert 0.5 < cover.mean() < 0.52


def test_curves_pass_through_their_points() -> None:
    points = np.array([[0.0, 0, 0], [5, 1, 0], [9, 4, 2], [10, 9, 3]])
    curve = smooth_curve(points, 5)
    assert len(curve) == 16
    assert np.allclose(curve[::5], points)
    assert np.linalg.norm(np.diff(curve, axis=0), axis=1).max() < 2.5


def test_broad_noise_varies_over_its_scale() -> None:
    grid = Grid((40, 80, 80), 2.0, (0.0, 0.0, 0.0))
    near, far = (broad_noise(grid, scale, np.random.default_rng(0)) for scale in (8, 40))
    assert near.shape == far.shape == grid.shape
    assert 0.5 < near.std() < 1.3
    assert np.diff(near, axis=1).std() > 2 * np.diff(far, axis=1).std()


def test_fine_noise_is_the_same_by_box_and_by_voxel() -> None:
    noise = FineNoise(1.2, np.random.default_rng(0))
    box = noise.box((90, 3, 5), (20, 30, 40))
    assert box.std() == pytest.approx(1, abs=0.1)
    whole = noise.box((0, 0, 0), (120, 50, 60))
    assert np.array_equal(whole[90:110, 3:33, 5:45], box)
    flat = np.array([0, 777, 12345, 120 * 50 * 60 - 1])
    assert np.array_equal(noise.at(flat, (120, 50, 60)), whole.reshape(-1)[flat])
