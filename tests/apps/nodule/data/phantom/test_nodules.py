from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.phantom.contours import equivalent_diameter_mm, load_shapes
from apps.nodule.data.phantom.nodules import (
    DIAMETER_RANGE_MM,
    KIND_SHARES,
    KINDS,
    Nodule,
    draw_diameter_mm,
    draw_kind,
    insert,
    render_nodule,
)

CUBE = (1.0, 1.0, 1.0)


def render(kind: str, seed: int = 0, **more: float) -> Nodule:
    rng = np.random.default_rng(seed)
    return render_nodule(load_shapes("train").draw(rng, 14.0), CUBE, kind, rng, 14.0, **more)


def test_kinds_are_drawn_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_kind(rng) for _ in range(2000)]
    assert sum(KIND_SHARES) == pytest.approx(1)
    for kind, share in zip(KINDS, KIND_SHARES, strict=True):
        assert drawn.count(kind) / 2000 == pytest.approx(share, abs=0.04)


def test_diameters_are_mostly_small() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_diameter_mm(rng) for _ in range(2000)])
    assert DIAMETER_RANGE_MM[0] <= drawn.min() < drawn.max() <= DIAMETER_RANGE_MM[1]
    assert 0.65 < (drawn < 10).mean() < 0.9


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("solid", -80, 120), ("ground_glass", -800, -400), ("part_solid", -780, 60), ("calcified", 0, 760)],
)
def test_matter_lies_in_the_range_of_its_kind(kind: str, low: float, high: float) -> None:
    for seed in range(12):
        nodule = render(kind, seed)
        inside = nodule.hu_DHW[nodule.alpha_DHW > 0.9]
        assert len(inside) > 500
        assert low < np.median(inside) < high
        assert inside.std() > 5


def test_part_solid_has_a_dense_core_in_ground_glass() -> None:
    for seed in range(8):
        nodule = render("part_solid", seed)
        inside = nodule.hu_DHW[nodule.alpha_DHW > 0.9]
        assert 0.02 < (inside > -200).mean() < 0.6
        assert (inside < -400).mean() > 0.3


def test_calcified_is_denser_than_tissue_somewhere() -> None:
    assert all(render("calcified", seed).hu_DHW.max() > 150 for seed in range(8))


def test_the_diameter_is_that_of_alpha_and_blur_keeps_the_mass() -> None:
    sharp, soft = render("solid", 3), render("solid", 3, psf_mm=1.0, noise_hu=20.0)
    assert sharp.diameter_mm == pytest.approx(equivalent_diameter_mm(float(sharp.alpha_DHW.sum())))
    assert sharp.diameter_mm == pytest.approx(14.0, rel=0.03)
    assert soft.diameter_mm == sharp.diameter_mm
    assert soft.alpha_DHW.sum() == pytest.approx(sharp.alpha_DHW.sum(), rel=0.01)
    edge = (soft.alpha_DHW > 0.05) & (soft.alpha_DHW < 0.95)
    assert edge.sum() > 1.5 * ((sharp.alpha_DHW > 0.05) & (sharp.alpha_DHW < 0.95)).sum()
    assert soft.hu_DHW[soft.alpha_DHW > 0.9].std() > sharp.hu_DHW[sharp.alpha_DHW > 0.9].std()


def test_thick_slices_are_rendered_by_partial_volume() -> None:
    rng = np.random.default_rng(0)
    shape = load_shapes("train").draw(rng, 8.0)
    nodule = render_nodule(shape, (3.0, 0.7, 0.7), "solid", rng, 8.0)
    assert nodule.diameter_mm == pytest.approx(8.0, rel=0.04)
    assert len(nodule.alpha_DHW) <= 9


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'cystic', wanted one of solid, part_solid"):
        render("cystic")


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_insert_composites_in_place_and_reports_the_truth(dtype: type) -> None:
    nodule = render("solid", 1)
    volume = np.full((48, 50, 52), -870, dtype)
    entered = insert(volume, nodule, (20, 25, 30), CUBE)
    mass = (volume.astype(float) + 870) / (np.median(nodule.hu_DHW[nodule.alpha_DHW > 0.9]) + 870)
    centre = np.indices(volume.shape).reshape(3, -1) @ mass.ravel() / mass.sum()
    assert np.abs(centre - entered.centre).max() < 0.1
    assert np.abs(entered.centre - [20, 25, 30]).max() < 0.2
    assert entered.diameter_mm == pytest.approx(nodule.diameter_mm)
    assert equivalent_diameter_mm(float(mass.sum())) == pytest.approx(14.0, rel=0.04)


def test_insert_sees_through_only_when_asked() -> None:
    full = np.ones((11, 11, 11), np.float32)
    nodule = Nodule(full, -600 * full, 13.6, "ground_glass")
    for see_through in (True, False):
        volume = np.full((41, 41, 41), -870.0, np.float32)
        volume[:, 20, 20] = 40.0  # a vessel right through it
        insert(volume, nodule, (20, 20, 20), CUBE, see_through=see_through)
        assert volume[20, 20, 20] == (40.0 if see_through else -600.0)
        assert volume[20, 20, 22] == -600.0


def test_insert_keeps_to_where_it_may_be_and_measures_what_is_left() -> None:
    nodule = render("solid", 4)
    volume, keep = np.full((41, 41, 41), -870.0, np.float32), np.zeros((41, 41, 41), np.float32)
    keep[:, :, :20] = 1
    entered = insert(volume, nodule, (20, 20, 20), CUBE, keep)
    assert (volume[:, :, 20:] == -870).all()
    assert entered.diameter_mm < 0.9 * nodule.diameter_mm
    assert entered.centre[2] < 19
    with pytest.raises(ValueError, match="nothing of the nodule lies where it may be"):
        insert(volume, nodule, (20, 20, 20), CUBE, np.zeros_like(keep))


def test_insert_cuts_at_the_volume_and_refuses_a_nodule_outside() -> None:
    nodule = render("solid", 5)
    volume = np.full((30, 30, 30), -870, np.int16)
    entered = insert(volume, nodule, (0, 15, 15), CUBE)
    assert entered.origin[0] == 0
    assert 0.6 * nodule.diameter_mm < entered.diameter_mm < 0.95 * nodule.diameter_mm
    with pytest.raises(
        ValueError, match=r"at voxel \(90, 15, 15\) lies outside the volume of \(30, 30, 30\)"
    ):
        insert(volume, nodule, (90, 15, 15), CUBE)
