"""The lungs' box: it holds them, with room around, at their positions in the patient."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.lung_box import locate_lungs, lung_box
from apps.nodule.data.volume import Volume
from tests.apps.nodule.bodies import AIR, TISSUE, Ball, Body, affine_around, orientation, small_scan

BODY = Body()
REACH_MM = np.array([BODY.apart_mm + BODY.lung_mm[0], BODY.lung_mm[1], BODY.lung_mm[2]])


@pytest.mark.parametrize("name", ["axial", "flipped", "coronal", "oblique", "sheared"])
def test_box_and_mask_lie_on_the_lungs(name: str) -> None:
    box = lung_box(small_scan(BODY, name, (3.0, 2.0, 2.0)), 2.0)
    low = box.grid.origin_mm
    high = box.grid.to_world(np.array([box.mask_DHW.shape]) - 1)[0]
    # the lungs, 3 mm of pleura, 8 mm of room, and what the coarse grid adds
    assert (low < -REACH_MM - 4).all()
    assert (low > -REACH_MM - 18).all()
    assert (high > REACH_MM + 4).all()
    assert (high < REACH_MM + 18).all()
    assert box.mask_DHW.shape == box.grid.hu_DHW.shape
    world = box.grid.to_world(np.argwhere(np.ones(box.mask_DHW.shape, dtype=bool)))
    truth = BODY.in_lungs(*world.T).reshape(box.mask_DHW.shape)
    assert (box.mask_DHW & truth).sum() / truth.sum() > 0.99
    assert box.mask_DHW.sum() < 1.5 * truth.sum()
    assert (box.grid.hu_DHW[truth] < -600).mean() > 0.9


def test_the_box_ends_where_the_scan_does() -> None:
    whole = small_scan(BODY, "axial", (3.0, 2.0, 2.0))
    part = Volume(whole.hu_DHW[10:30], whole.affine, "part")
    box = lung_box(part, 1.0)
    assert box.grid.hu_DHW.shape[0] == 19 * 3 + 1
    assert box.mask_DHW[[0, -1]].any(axis=(1, 2)).all()


def test_a_volume_of_air_has_an_empty_mask() -> None:
    shape = (40, 64, 64)
    affine = affine_around(orientation("axial", (2.5, 0.7, 0.7)), shape, (0, 0, 0))
    box = lung_box(Volume(np.full(shape, AIR, np.int16), affine, "air"), 1.0)
    assert box.mask_DHW.shape == box.grid.hu_DHW.shape
    assert not box.mask_DHW.any()


def test_a_volume_of_tissue_has_no_lungs() -> None:
    shape = (40, 64, 64)
    affine = affine_around(orientation("axial", (2.5, 0.7, 0.7)), shape, (0, 0, 0))
    box = lung_box(Volume(np.full(shape, TISSUE, np.int16), affine, "tissue"), 1.0)
    assert not box.mask_DHW.any()


def test_the_wide_mask_takes_in_what_lies_between_the_lungs() -> None:
    """Half of a mass at a wall lies outside the air: closing over 5 cm brings it in, 12 mm do not."""
    mass = Ball((-67.0, 0.0, 0.0), 50.0)
    located = locate_lungs(small_scan(Body(balls=(mass,)), "axial", (3.0, 2.0, 2.0)))
    near, wide = located.fine(3.0), located.wide(50.0)
    for box, holds in ((near, False), (wide, True)):
        at = tuple(np.rint(box.grid.to_index(np.array([mass.centre_mm]))[0]).astype(int))
        assert box.mask_DHW[at] == holds
    assert wide.grid.spacing_mm == 3.0
