from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.phantom import chest_shape as form
from apps.nodule.data.phantom.anatomy import _grid
from apps.nodule.data.phantom.drawing import Grid

GRID = _grid(4.0)


def lungs(seed: int) -> tuple[form.Build, np.ndarray]:
    rng = np.random.default_rng(seed)
    build = form.draw_build(rng)
    return build, form.lungs(build, GRID, rng) > 0


@pytest.mark.parametrize("seed", range(5))
def test_two_lungs_of_an_adult_within_the_grid(seed: int) -> None:
    _, mask = lungs(seed)
    label, _ = ndimage.label(mask)
    sizes = np.sort(np.bincount(label.ravel())[1:])[::-1] * 4.0**3 / 1e6
    assert 1.2 < sizes[1] <= sizes[0] < 3.8
    assert sizes[2:].sum() < 0.01
    edges = [mask[0], mask[-1], mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]]
    assert not any(edge.any() for edge in edges)
    x = GRID.axes_mm()[2][0, 0]
    centres = ndimage.center_of_mass(mask, label, [1, 2])
    sides = sorted(x[round(c[2])] for c in centres)
    assert sides[0] < -40
    assert sides[1] > 40


@pytest.mark.parametrize("seed", range(3))
def test_five_lobes_of_plausible_size(seed: int) -> None:
    build, mask = lungs(seed)
    oblique, horizontal = form.fissures(build, GRID, np.random.default_rng(seed))
    lobes = form.lobe_labels(mask, oblique, horizontal, GRID.axes_mm()[2])
    share = np.bincount(lobes.ravel(), minlength=6)[1:] / mask.sum()
    assert len(share) == 5
    assert share.min() > 0.03
    assert share.max() < 0.45
    assert ((lobes > 0) == mask).all()


def test_the_heart_lies_left_and_low() -> None:
    build = form.draw_build(np.random.default_rng(0))
    z, _, x = GRID.axes_mm()
    inside = form.heart(build, GRID.axes_mm()) > 0
    assert 0.3 < inside.sum() * 4.0**3 / 1e6 < 1.2
    assert (inside * x).sum() / inside.sum() > 8
    assert (inside * z).sum() / inside.sum() < 0.45 * build.height


def test_the_body_holds_the_cage() -> None:
    build = form.draw_build(np.random.default_rng(1))
    axes = GRID.axes_mm()
    cage, body = form.cage(build, axes) > 0, form.body(build, axes) > 6
    assert cage.sum() > 50_000
    assert body[cage].mean() > 0.999


def test_primitives_measure_distance() -> None:
    line = np.arange(-20.0, 21.0)
    far = form.ring_distance(np.zeros(1), line, np.float64(10), np.float64(10), 2.0)
    assert np.allclose(far, 10 - np.abs(line), atol=0.01)
    axes = Grid((3, 3, 41), 1.0, (-1.0, -1.0, -20.0)).axes_mm()
    ball = form.blob(axes, (0, 0, 0), (10, 10, 10))
    assert np.allclose(ball[1, 1], 10 - np.abs(line), atol=1e-4)
    assert form.soft_max(np.float64(1), np.float64(9), 4) == 9
    assert form.soft_max(np.float64(5), np.float64(5), 4) == 6
    assert form.soft_step(np.array([-2.0, 0, 2]), 2).tolist() == [0, 0.5, 1]
