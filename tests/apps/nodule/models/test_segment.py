"""The findings' voxels: on the finding, of the right amount, on any grid."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.segment import segment
from tests.apps.nodule.bodies import affine_around, orientation

CENTRE = (-41.3, 17.8, -63.2)
LUNG, TISSUE = -860.0, 30.0
SUB = 5  # points a voxel's edge is divided into


def shares(
    affine: np.ndarray, shape: tuple[int, int, int], diameter: float, centre: tuple[float, ...]
) -> np.ndarray:
    """How much of each voxel a ball fills, by counting points within the voxel: partial volume."""
    total = np.zeros(shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(float)
    inside = (np.arange(SUB) + 0.5) / SUB - 0.5
    for offset in np.stack(np.meshgrid(inside, inside, inside), axis=-1).reshape(-1, 3):
        world = (index + offset) @ affine[:3, :3].T + affine[:3, 3]
        total += ((world - np.array(centre)) ** 2).sum(axis=-1) < (diameter / 2) ** 2
    return total / SUB**3


def ball_scan(
    diameter: float,
    name: str = "axial",
    spacing_mm: tuple[float, float, float] = (1.25, 0.7, 0.7),
    hu: float = TISSUE,
    centre: tuple[float, float, float] = CENTRE,
) -> tuple[Volume, np.ndarray]:
    """A ball in noisy lung, off the middle of a small scan, and how much of each voxel it fills."""
    columns = orientation(name, spacing_mm)
    half = diameter / 2 * 1.5 + 5
    size = [2 * int(n) + 3 for n in half * np.linalg.norm(np.linalg.inv(columns), axis=1)]
    shape = (size[0], size[1], size[2])
    affine = affine_around(columns, shape, np.array(CENTRE) + (0.3, -0.2, 0.4))  # noqa: RUF005
    share = shares(affine, shape, diameter, centre)
    noise = np.random.default_rng(1).normal(0, 25, shape)
    return Volume(np.rint(LUNG + (hu - LUNG) * share + noise).astype(np.int16), affine, name), share


def whole(volume: Volume, finding: Finding) -> np.ndarray:
    mask = np.zeros(volume.hu_DHW.shape, dtype=bool)
    mask[tuple(slice(c, c + n) for c, n in zip(finding.corner_DHW, finding.mask_DHW.shape, strict=True))] = (
        finding.mask_DHW
    )
    assert mask.sum() == finding.mask_DHW.sum() > 0
    assert finding.volume_mm3 == pytest.approx(mask.sum() * volume.voxel_mm3)
    return mask


def ball_mm3(diameter: float) -> float:
    return np.pi / 6 * diameter**3


GRIDS = {
    "isotropic": ("axial", (0.8, 0.8, 0.8)),
    "thick slices": ("axial", (2.5, 0.7, 0.7)),
    "flipped": ("flipped", (1.25, 0.7, 0.7)),
    "coronal": ("coronal", (0.9, 1.25, 0.9)),
    "oblique": ("oblique", (1.25, 0.8, 0.8)),
    "sheared": ("sheared", (1.25, 0.7, 0.7)),
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("off_mm", [0.0, 1.0])
def test_the_mask_lies_on_the_ball(grid: str, off_mm: float) -> None:
    """Also where the detector is a millimetre off and a fifth too large."""
    volume, share = ball_scan(10.0, *GRIDS[grid])
    guess = Candidate((CENTRE[0] + off_mm, CENTRE[1], CENTRE[2] - off_mm / 2), 10.0 * (1 + off_mm / 5), 0.9)
    mask = whole(volume, segment(volume, guess))
    truth = share > 0.5
    dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert dice > 0.93
    middle = volume.to_world(np.array([np.argwhere(mask).mean(axis=0)]))[0]
    assert np.linalg.norm(middle - CENTRE) < 0.35


@pytest.mark.parametrize(
    ("diameter", "spacing_mm", "within"),
    [(10.0, (1.25, 0.7, 0.7), 0.10), (6.0, (2.5, 0.7, 0.7), 0.25), (20.0, (1.25, 0.7, 0.7), 0.06)],
)
@pytest.mark.parametrize("hu", [TISSUE, -400.0])
def test_the_volume_is_the_balls(
    diameter: float, spacing_mm: tuple[float, float, float], within: float, hu: float
) -> None:
    volume, _ = ball_scan(diameter, spacing_mm=spacing_mm, hu=hu)
    finding = segment(volume, Candidate(CENTRE, diameter, 0.9))
    assert finding.volume_mm3 == pytest.approx(ball_mm3(diameter), rel=within)


def test_the_volume_does_not_follow_a_wrong_diameter() -> None:
    volume, _ = ball_scan(10.0)
    sizes = [segment(volume, Candidate(CENTRE, d, 0.9)).volume_mm3 for d in (8.5, 10.0, 12.0)]
    assert max(sizes) / min(sizes) < 1.12


def test_a_vessel_is_cut_off() -> None:
    volume, share = ball_scan(12.0, spacing_mm=(0.8, 0.7, 0.7))
    world = volume.to_world(np.argwhere(np.ones(volume.hu_DHW.shape, dtype=bool))).reshape(
        *volume.hu_DHW.shape, 3
    )
    vessel = (np.hypot(world[..., 1] - CENTRE[1], world[..., 2] - CENTRE[2]) < 1.0) & (
        world[..., 0] > CENTRE[0]
    )
    hu = np.where(vessel, np.maximum(volume.hu_DHW, 20), volume.hu_DHW).astype(np.int16)
    with_vessel = Volume(hu, volume.affine, "vessel")
    outside = vessel & (share == 0)
    assert outside.sum() > 50
    mask = whole(with_vessel, segment(with_vessel, Candidate(CENTRE, 12.0, 0.9)))
    assert (mask & outside).sum() < 0.15 * outside.sum()
    assert mask.sum() * volume.voxel_mm3 == pytest.approx(ball_mm3(12.0), rel=0.1)


def test_a_hole_is_filled() -> None:
    volume, _ = ball_scan(14.0)
    world = volume.to_world(np.argwhere(np.ones(volume.hu_DHW.shape, dtype=bool))).reshape(
        *volume.hu_DHW.shape, 3
    )
    hole = ((world - np.array(CENTRE) - 2.0) ** 2).sum(axis=-1) < 1.5**2
    hu = np.where(hole, -900, volume.hu_DHW).astype(np.int16)
    assert hole.sum() > 10
    mask = whole(volume, segment(Volume(hu, volume.affine, "hole"), Candidate(CENTRE, 14.0, 0.9)))
    assert mask[hole].all()


def test_the_neighbour_is_left_alone() -> None:
    volume, _ = ball_scan(10.0)
    other = (CENTRE[0] + 9.5, CENTRE[1], CENTRE[2])
    share = shares(volume.affine, volume.hu_DHW.shape, 5.0, other)
    both = Volume(
        np.maximum(volume.hu_DHW, np.rint(LUNG + 890 * share)).astype(np.int16), volume.affine, "both"
    )
    mask = whole(both, segment(both, Candidate(CENTRE, 10.0, 0.9)))
    assert not mask[share > 0.5].any()
    assert (share > 0.5).sum() > 20


@pytest.mark.parametrize("value", [-1000, LUNG, TISSUE])
def test_where_nothing_stands_out_the_ball_is_taken(value: float) -> None:
    """A faint nodule in lung, or one merged with the wall."""
    shape = (20, 40, 40)
    affine = affine_around(orientation("axial", (1.25, 0.7, 0.7)), shape, CENTRE)
    finding = segment(Volume(np.full(shape, value, np.int16), affine, "plain"), Candidate(CENTRE, 8.0, 0.9))
    assert finding.volume_mm3 == pytest.approx(ball_mm3(8.0), rel=0.1)


@pytest.mark.parametrize("diameter", [2.0, 4.0])
@pytest.mark.parametrize("spacing_mm", [(5.0, 0.7, 0.7), (1.0, 3.0, 3.0)])
def test_a_nodule_smaller_than_a_voxel_has_one(
    diameter: float, spacing_mm: tuple[float, float, float]
) -> None:
    volume, _ = ball_scan(diameter, spacing_mm=spacing_mm)
    finding = segment(volume, Candidate(CENTRE, diameter, 0.9))
    mask = whole(volume, finding)
    nearest = np.rint(volume.to_index(np.array([CENTRE]))[0]).astype(int)
    assert mask[tuple(nearest)]


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, 1, 1)])
@pytest.mark.parametrize("beyond_mm", [0.0, 1.5])
def test_at_the_border_of_the_scan_the_mask_stays_within(
    corner: tuple[int, int, int], beyond_mm: float
) -> None:
    shape = (20, 30, 30)
    affine = affine_around(orientation("axial", (1.25, 0.7, 0.7)), shape, (0, 0, 0))
    at = affine[:3, :3] @ ((np.array(shape) - 1) * corner) + affine[:3, 3]
    at = at + beyond_mm * (2 * np.array(corner[::-1]) - 1)
    centre = (float(at[0]), float(at[1]), float(at[2]))
    share = shares(affine, shape, 9.0, centre)
    volume = Volume(np.rint(LUNG + 890 * share).astype(np.int16), affine, "corner")
    mask = whole(volume, segment(volume, Candidate(centre, 9.0, 0.9)))
    truth = share > 0.5
    assert truth.any()
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.75


def test_a_centre_far_outside_takes_the_nearest_voxel() -> None:
    volume, _ = ball_scan(10.0)
    finding = segment(volume, Candidate((500.0, 500.0, 500.0), 8.0, 0.9))
    assert finding.corner_DHW == tuple(n - 1 for n in volume.hu_DHW.shape)
    assert finding.mask_DHW.tolist() == [[[True]]]


def test_a_mask_is_a_copy_of_its_own() -> None:
    volume, _ = ball_scan(10.0)
    finding = segment(volume, Candidate(CENTRE, 10.0, 0.9))
    assert finding.mask_DHW.base is None
    assert finding.candidate == Candidate(CENTRE, 10.0, 0.9)
    for axis in range(3):
        rest = tuple(a for a in range(3) if a != axis)
        assert finding.mask_DHW.any(axis=rest)[[0, -1]].all(), "no empty plane around it"
