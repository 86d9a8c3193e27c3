"""Trees of arteries, veins and bronchi, grown from the hilum into a lobe.

Growth: points spread over the lobe are joined from the hilum outwards, each to the node that costs least in new
length plus part of the way back to the root (Prim-Dijkstra trade-off, Alpert et al. 1995); radii follow Murray's
law with the exponent of human pulmonary arteries, about 2.6.
Points are (z, y, x) mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.nodule.data.phantom.drawing import Grid, draw_cones

MURRAY = 2.6
_WAY_BACK = 0.32


@dataclass(frozen=True, eq=False)
class Tree:
    """points_N3 mm; parent_N (-1 at the root), each parent before its children; radius_N mm."""

    points_N3: np.ndarray
    parent_N: np.ndarray
    radius_N: np.ndarray

    def main_child(self) -> np.ndarray:
        """Return each node's widest child, -1 at the tips."""
        child = np.full(len(self.parent_N), -1)
        for node in np.argsort(self.radius_N, kind="stable"):
            if self.parent_N[node] >= 0:
                child[self.parent_N[node]] = node
        return child


def spread_points(mask_DHW: np.ndarray, grid: Grid, gap_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Return points (N, 3) mm about gap_mm apart within a mask: a jittered lattice."""
    low = np.array(grid.origin_mm)
    size = (np.array(grid.shape) * grid.spacing_mm / gap_mm).astype(int)
    lattice = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), -1).reshape(-1, 3)
    points = low + (lattice + rng.uniform(0, 1) + rng.uniform(-0.42, 0.42, lattice.shape)) * gap_mm
    index = np.rint(grid.index(points)).astype(int)
    inside = ((index >= 0) & (index < grid.shape)).all(1)
    points, index = points[inside], index[inside]
    return points[mask_DHW[tuple(index.T)]]


def grow(root_3: np.ndarray, tips_N3: np.ndarray, tip_radius_mm: float, rng: np.random.Generator) -> Tree:
    """Grow a tree from the root through all points; at most two children a node, the root five.

    root_3, tips_N3: mm, in (z, y, x) order. tip_radius_mm: of the last branches.
    """
    far = np.linalg.norm(tips_N3 - root_3, axis=1)
    tips = tips_N3[np.argsort(far + rng.uniform(0, 8, len(far)), kind="stable")]
    points = np.vstack([root_3, tips])
    count = len(points)
    parent = np.full(count, -1)
    way = np.zeros(count)
    free = np.full(count, 2)
    free[0] = 5
    direction = np.zeros((count, 3))
    closed = np.zeros(count)  # a node without a free branch costs infinitely much
    for i in range(1, count):
        step = points[i] - points[:i]
        length = np.sqrt(np.einsum("ij,ij->i", step, step))
        turn = 1 - np.einsum("ij,ij->i", step, direction[:i]) / np.maximum(length, 1e-6)
        cost = length * (1 + 0.22 * turn) + _WAY_BACK * way[:i] + closed[:i]
        best = int(np.argmin(cost))
        parent[i] = best
        way[i] = way[best] + length[best]
        direction[i] = step[best] / max(length[best], 1e-6)
        free[best] -= 1
        if free[best] == 0:
            closed[best] = np.inf
    leaves = _leaves(parent)
    radius = tip_radius_mm * leaves ** (1 / MURRAY)
    return Tree(_straighten(points, parent, leaves), parent, radius)


def _leaves(parent_N: np.ndarray) -> np.ndarray:
    leaves = np.zeros(len(parent_N))
    for node in range(len(parent_N) - 1, 0, -1):
        leaves[node] = max(leaves[node], 1)
        leaves[parent_N[node]] += leaves[node]
    return np.maximum(leaves, 1)


def _straighten(points_N3: np.ndarray, parent_N: np.ndarray, leaves_N: np.ndarray) -> np.ndarray:
    """Pull each inner node towards the line from its parent to its children, wide branches most."""
    points = points_N3.copy()
    inner = np.flatnonzero(np.bincount(parent_N[1:], minlength=len(points))[1:] > 0) + 1
    firm = 0.5 * (1 - np.exp(-leaves_N[inner] / 5))
    for _ in range(3):
        pull = np.zeros_like(points)
        np.add.at(pull, parent_N[1:], points[1:] * leaves_N[1:, None])
        weight = np.zeros(len(points))
        np.add.at(weight, parent_N[1:], leaves_N[1:])
        target = 0.5 * (pull[inner] / weight[inner, None] + points[parent_N[inner]])
        points[inner] += firm[:, None] * (target - points[inner])
    return points


def branch_cones(tree: Tree, pieces: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return all edges as tapering tubes: starts and ends (K, 3) mm, and the radii there (K,) mm.

    Each edge is a Hermite curve in some pieces, whose tangents run on along the widest branch.
    """
    child = tree.main_child()
    points, parent, node = tree.points_N3, tree.parent_N[1:], np.arange(1, len(tree.parent_N))
    before = np.maximum(tree.parent_N, 0)
    after = np.where(child >= 0, child, np.arange(len(points)))
    tangent = points[after] - points[before]
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    a, b = points[parent], points[node]
    length = np.linalg.norm(b - a, axis=1, keepdims=True)
    start = tangent[parent] * length
    start = np.where((child[parent] == node)[:, None], start, 0.25 * start + 0.75 * (b - a))
    end = tangent[node] * length
    t = np.linspace(0, 1, pieces + 1)[:, None, None]
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * a
        + (t**3 - 2 * t**2 + t) * start
        + (3 * t**2 - 2 * t**3) * b
        + (t**3 - t**2) * end
    )
    narrow = tree.radius_N[node]
    wide = np.minimum(tree.radius_N[parent], 1.3 * narrow + 0.1)
    radii = wide + t[:, :, 0] * (narrow - wide)
    return (
        curve[:-1].reshape(-1, 3),
        curve[1:].reshape(-1, 3),
        radii[:-1].reshape(-1),
        radii[1:].reshape(-1),
    )


def draw_tree(cover_DHW: np.ndarray, grid: Grid, tree: Tree) -> None:
    """Draw a tree of vessels into a cover, in place: the share of each voxel that is covered, 0 to 1."""
    draw_cones(cover_DHW, grid, *branch_cones(tree))


def draw_bronchi(
    wall_DHW: np.ndarray,
    lumen_DHW: np.ndarray,
    grid: Grid,
    artery: Tree,
    beside_3: np.ndarray,
    rng: np.random.Generator,
    plug_share: float = 0.0,
) -> None:
    """Draw the bronchus that runs beside each artery down to about 1 mm of lumen, in place.

    beside_3: unit vector from artery to bronchus. plug_share: part of the branches whose lumen is full of mucus.
    """
    start, end, ra, rb = branch_cones(artery)
    seen = np.minimum(ra, rb) > 0.85
    start, end, ra, rb = start[seen], end[seen], ra[seen], rb[seen]
    outer_a, outer_b = (np.minimum(0.95 * r + 0.25, 5.5) for r in (ra, rb))
    start = start + (ra + outer_a)[:, None] * 0.95 * beside_3
    end = end + (rb + outer_b)[:, None] * 0.95 * beside_3
    draw_cones(wall_DHW, grid, start, end, outer_a, outer_b)
    thick_a, thick_b = 0.16 * outer_a + 0.45, 0.16 * outer_b + 0.45
    open_ = rng.uniform(size=len(start)) >= plug_share
    draw_cones(
        lumen_DHW, grid, start[open_], end[open_], (outer_a - thick_a)[open_], (outer_b - thick_b)[open_]
    )
