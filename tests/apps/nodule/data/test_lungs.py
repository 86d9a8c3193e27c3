"""The lung mask on bodies whose lungs are known."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.lungs import MARGIN_MM, lung_mask
from tests.apps.nodule.bodies import AIR, LUNG, TISSUE, Ball, Body

STEP = 2.5
SPACING = (STEP,) * 3
SHAPE = (64, 72, 90)  # D, H, W: 160 × 180 × 225 mm


def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, y, x = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == i else 1 for a in range(3)]) * STEP
        for i, n in enumerate(SHAPE)
    )
    return x, y, z


def picture(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """HU, and the truth where the lungs are."""
    x, y, z = world()
    return body.hu(x, y, z).astype(np.float32), np.broadcast_to(body.in_lungs(x, y, z), SHAPE)


def test_the_lungs_are_covered_and_little_else() -> None:
    hu, truth = picture(Body())
    mask = lung_mask(hu, SPACING)
    assert mask.shape == SHAPE
    assert mask.dtype == bool
    assert (mask & truth).sum() / truth.sum() > 0.999
    assert mask.sum() < 1.5 * truth.sum()  # a margin of 3 mm on lungs this small
    assert not mask[hu == AIR].any()


def test_nodules_at_the_pleura_and_vessels_lie_in_the_mask() -> None:
    at_the_wall, at_the_hilum = Ball((-67.0, 0.0, 0.0), 14.0), Ball((13.0, 0.0, 0.0), 10.0)
    hu, _ = picture(Body(balls=(at_the_wall, at_the_hilum)))
    mask = lung_mask(hu, SPACING)
    x, y, z = world()
    for ball in (at_the_wall, at_the_hilum):
        away = np.sqrt(sum((p - c) ** 2 for p, c in zip((x, y, z), ball.centre_mm, strict=True)))
        inside = away < ball.diameter_mm / 2 - 1
        assert inside.sum() > 10
        assert mask[inside].all()


def test_the_margin_reaches_into_the_wall() -> None:
    hu, truth = picture(Body())
    mask = lung_mask(hu, SPACING)
    row = mask[SHAPE[0] // 2, SHAPE[1] // 2] & ~truth[SHAPE[0] // 2, SHAPE[1] // 2]
    assert 2 <= row.sum() <= 4 * (np.ceil(MARGIN_MM / STEP) + 1)


def test_lungs_cut_off_by_the_ends_of_the_scan_are_found() -> None:
    hu, truth = picture(Body())
    cut = slice(20, 44)  # an air space that is open at both ends
    mask = lung_mask(hu[cut], SPACING)
    assert (mask & truth[cut]).sum() / truth[cut].sum() > 0.999
    assert not mask[hu[cut] == AIR].any()


def test_bowel_is_left_out_by_its_size() -> None:
    hu, truth = picture(Body())
    x, y, z = world()
    bowel = np.sqrt(x**2 + (y + 48) ** 2 + z**2) < 14  # 11 ml, in front
    hu[bowel] = AIR
    assert not (bowel & truth).any()
    mask = lung_mask(hu, SPACING)
    assert (mask & bowel).sum() < 0.2 * bowel.sum()
    assert (mask & truth).sum() / truth.sum() > 0.999


def test_one_lung_is_enough() -> None:
    hu, truth = picture(Body())
    x, _, _ = world()
    left = np.broadcast_to(x > 0, SHAPE)
    hu[left & truth] = TISSUE  # collapsed
    mask = lung_mask(hu, SPACING)
    assert (mask & truth & ~left).sum() / (truth & ~left).sum() > 0.999
    assert not (mask & (x > 30)).any()


@pytest.mark.parametrize("value", [AIR, TISSUE])
def test_without_lungs_nothing_is_taken(value: float) -> None:
    mask = lung_mask(np.full((40, 64, 64), value, np.float32), (2.5, 0.7, 0.7))
    assert mask.shape == (40, 64, 64)
    assert not mask.any()


def test_a_field_of_view_within_a_lung_is_lung_with_what_lies_in_it() -> None:
    hu = np.full((24, 30, 30), LUNG, np.float32)
    hu[10:14, 12:16, 12:16] = TISSUE
    assert lung_mask(hu, (3.0, 3.0, 3.0)).all()


def test_a_lung_cut_off_by_the_field_of_view_is_searched_beside_a_whole_one() -> None:
    hu, truth = picture(Body())
    cut = slice(0, 72)  # the right border of the image runs through the left lung
    x, _, _ = world()
    left = np.broadcast_to(x > 0, SHAPE)[:, :, cut]
    assert (truth[:, :, cut] & left)[:, :, -1].sum() > 100
    mask = lung_mask(hu[:, :, cut], SPACING)
    for side in (left, ~left):
        assert (mask & truth[:, :, cut] & side).sum() / (truth[:, :, cut] & side).sum() > 0.999
    assert not mask[hu[:, :, cut] == AIR].any()


@pytest.mark.parametrize("foam", [-940.0, -870.0])
def test_a_pad_under_the_patient_is_not_a_lung(foam: float) -> None:
    hu, truth = picture(Body(trunk_mm=(95.0, 60.0)))
    hu[:, -6:] = TISSUE  # the shell of the table
    hu[:, -5:] = foam  # half a litre, open to the sides of the image
    mask = lung_mask(hu, SPACING)
    assert not mask[:, -5:].any()
    assert (mask & truth).sum() / truth.sum() > 0.999


def test_a_fine_grid_gives_the_same_lungs_as_a_coarse_one() -> None:
    hu, _ = picture(Body())
    coarse = lung_mask(hu, SPACING)
    fine = lung_mask(np.repeat(np.repeat(hu, 2, axis=1), 2, axis=2), (STEP, STEP / 2, STEP / 2))
    assert fine.shape == (SHAPE[0], SHAPE[1] * 2, SHAPE[2] * 2)
    assert (fine[:, ::2, ::2] == coarse).mean() > 0.99
