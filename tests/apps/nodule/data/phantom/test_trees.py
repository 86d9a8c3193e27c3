from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom.drawing import Grid
from apps.nodule.data.phantom.trees import (
    MURRAY,
    Tree,
    branch_cones,
    draw_bronchi,
    draw_tree,
    grow,
    spread_points,
)

GRID = Grid((61, 61, 61), 1.0, (0.0, 0.0, 0.0))
ROOT = np.array([30.0, 30.0, 2.0])


@pytest.fixture(scope="module")
def tree() -> Tree:
    rng = np.random.default_rng(0)
    mask = np.zeros(GRID.shape, bool)
    mask[5:56, 5:56, 5:56] = True
    return grow(ROOT, spread_points(mask, GRID, 9.0, rng), 0.4, rng)


def test_points_are_spread_within_the_mask() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[:, :30] = True
    points = spread_points(mask, GRID, 6.0, np.random.default_rng(0))
    assert pytest.approx(len(points), rel=0.25) == 61 * 30 * 61 / 6**3
    assert mask[tuple(np.rint(points).astype(int).T)].all()
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 99 * np.eye(len(points))
    assert 3 < np.median(gaps.min(1)) < 7


def test_a_tree_reaches_every_point_and_forks_in_two(tree: Tree) -> None:
    assert len(tree.points_N3) > 150
    assert tree.parent_N[0] == -1
    assert (tree.parent_N[1:] < np.arange(1, len(tree.parent_N))).all()
    children = np.bincount(tree.parent_N[1:], minlength=len(tree.parent_N))
    assert children[0] <= 5
    assert children[1:].max() == 2
    assert np.allclose(tree.points_N3[0], ROOT)


def test_radii_follow_murray(tree: Tree) -> None:
    for node in range(len(tree.parent_N)):
        children = np.flatnonzero(tree.parent_N == node)
        if len(children):
            assert tree.radius_N[node] ** MURRAY == pytest.approx((tree.radius_N[children] ** MURRAY).sum())
        else:
            assert tree.radius_N[node] == pytest.approx(0.4)
    widest = tree.main_child()
    assert widest[0] == np.flatnonzero(tree.parent_N == 0)[np.argmax(tree.radius_N[tree.parent_N == 0])]


def test_branches_join_and_taper(tree: Tree) -> None:
    start, end, ra, rb = branch_cones(tree, pieces=3)
    edges = len(tree.parent_N) - 1
    assert start.shape == end.shape == (3 * edges, 3)
    first, last = start.reshape(3, edges, 3)[0], end.reshape(3, edges, 3)[-1]
    assert np.allclose(first, tree.points_N3[tree.parent_N[1:]])
    assert np.allclose(last, tree.points_N3[1:])
    assert np.allclose(end.reshape(3, edges, 3)[0], start.reshape(3, edges, 3)[1])
    assert (rb <= ra + 1e-9).all()


def test_growing_repeats_with_its_seed() -> None:
    tips = np.random.default_rng(1).uniform(5, 55, (80, 3))
    first, again = (grow(ROOT, tips, 0.4, np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(first.points_N3, again.points_N3)


def test_bronchi_run_beside_the_wide_arteries_only(tree: Tree) -> None:
    vessel, wall, lumen, plugged = (np.zeros(GRID.shape, np.float32) for _ in range(4))
    draw_tree(vessel, GRID, tree)
    beside = np.array([0.0, 1.0, 0.0])
    draw_bronchi(wall, lumen, GRID, tree, beside, np.random.default_rng(0))
    draw_bronchi(wall, plugged, GRID, tree, beside, np.random.default_rng(0), plug_share=1.0)
    assert 0 < lumen.sum() < wall.sum() < vessel.sum()
    assert (wall >= lumen - 1e-6).all()
    assert plugged.sum() == 0
