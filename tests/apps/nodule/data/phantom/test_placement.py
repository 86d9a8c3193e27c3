from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.phantom.placement import PLACEMENT_SHARES, PLACEMENTS, Sites, draw_placement

SPACING = (1.25, 0.8, 0.8)


@pytest.fixture(scope="module")
def lung() -> np.ndarray:
    z, y, x = np.ogrid[:64, :110, :110]
    return np.asarray(
        ((z - 32) * 1.25 / 36) ** 2 + ((y - 55) * 0.8 / 40) ** 2 + ((x - 55) * 0.8 / 40) ** 2 < 1
    )


@pytest.fixture(scope="module")
def vessel(lung: np.ndarray) -> np.ndarray:
    mask = np.zeros_like(lung)
    mask[:, 55, 55] = True  # one thin vessel along z
    return mask & lung


@pytest.fixture(scope="module")
def sites(lung: np.ndarray, vessel: np.ndarray) -> Sites:
    return Sites(lung, vessel, SPACING)


def test_placements_are_drawn_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_placement(rng) for _ in range(1000)]
    for placement, share in zip(PLACEMENTS, PLACEMENT_SHARES, strict=True):
        assert drawn.count(placement) / 1000 == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("diameter", [4.0, 8.0, 14.0])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_placement_keeps_its_distances(
    sites: Sites, lung: np.ndarray, vessel: np.ndarray, placement: str, diameter: float
) -> None:
    depth = ndimage.distance_transform_edt(lung, sampling=SPACING)
    gap = ndimage.distance_transform_edt(~vessel, sampling=SPACING)
    rng, radius, slack = np.random.default_rng(1), diameter / 2, 3.0  # the search works on about 2 mm
    voxels = [sites.pick(placement, diameter, rng) for _ in range(20)]
    assert len({spot for spot in voxels if spot}) > 10
    for spot in voxels:
        assert spot is not None
        assert lung[spot]
        if placement == "juxta_pleural":
            assert depth[spot] < radius + slack
        else:
            assert depth[spot] > radius + 2 - slack
            touches = gap[spot] < radius + slack
            assert touches if placement == "vessel_attached" else gap[spot] > radius - 0.5


def test_nodules_keep_clear_of_each_other(sites: Sites) -> None:
    rng = np.random.default_rng(2)
    taken = [(np.array([32, 55, 55]), 25.0)]
    for _ in range(20):
        spot = sites.pick("isolated", 6.0, rng, taken)
        assert spot is not None
        assert np.linalg.norm((np.array(spot) - taken[0][0]) * SPACING) > 25
    assert sites.pick("isolated", 6.0, rng, [(np.array([32, 55, 55]), 500.0)]) is None


def test_what_does_not_fit_is_none(sites: Sites, lung: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    assert sites.pick("isolated", 120.0, rng) is None
    bare = Sites(lung, None, SPACING)
    assert bare.pick("vessel_attached", 6.0, rng) is None
    assert bare.pick("isolated", 6.0, rng) is not None


def test_faults_are_named(sites: Sites, lung: np.ndarray) -> None:
    with pytest.raises(ValueError, match="placement is 'hilar', wanted one of isolated, juxta_pleural"):
        sites.pick("hilar", 6.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="the lung mask is empty"):
        Sites(np.zeros_like(lung), None, SPACING)
