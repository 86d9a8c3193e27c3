"""The baseline detector on shapes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from benchmarks.nodule.blob import BALL_RESPONSE, DIAMETERS_MM, HU_RANGE, BlobDetector, strongest_response

BALLS = {9.0: (-62.0, 20.0, 30.0), 18.0: (58.0, -14.0, -36.0)}  # diameter: LPS centre, mm


def grid_mm(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def chest(flipped: bool) -> Volume:
    """A body with two lungs, a vessel of 5 mm through one of them, and two balls; 2.5 mm voxels."""
    shape, step = (68, 84, 100), 2.5
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    signs = (-1, 1, -1) if flipped else (1, 1, 1)
    for column, (axis, sign) in enumerate(zip((2, 1, 0), signs, strict=True)):
        affine[axis, column] = sign * step
        affine[axis, 3] = -sign * step * (shape[column] - 1) / 2
    position = grid_mm(affine, shape)
    x, y, z = np.moveaxis(position, -1, 0)
    hu = np.full(shape, -1000.0)
    hu[(x / 120) ** 2 + (y / 98) ** 2 < 1] = 40
    for side in (-60, 60):
        hu[((x - side) / 46) ** 2 + (y / 75) ** 2 + (z / 78) ** 2 < 1] = -850
    hu[(np.hypot(x - 70, y - 20) < 2.5) & (np.abs(z) < 55)] = 30
    for diameter, centre in BALLS.items():
        hu[np.linalg.norm(position - centre, axis=-1) < diameter / 2] = 40
    return Volume(hu.astype(np.int16), affine, uid="chest")


@pytest.mark.parametrize("flipped", [False, True])
def test_balls_are_the_best_candidates_at_their_positions(flipped: bool) -> None:
    detector = BlobDetector()
    candidates = detector.detect(chest(flipped)).candidates
    assert detector.name == "blob"
    assert 2 <= len(candidates) <= 100
    probabilities = [c.probability for c in candidates]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0.0 < p <= 1.0 for p in probabilities)
    for diameter, centre in BALLS.items():
        gaps = [float(np.linalg.norm(np.array(c.centre_mm) - centre)) for c in candidates[:2]]
        nearest = candidates[int(np.argmin(gaps))]
        assert min(gaps) < 1.8
        assert nearest.diameter_mm == pytest.approx(diameter, rel=0.3)
    assert candidates[1].probability >= detector.threshold
    assert candidates[1].probability > candidates[2].probability


def test_the_same_volume_gives_the_same_candidates() -> None:
    assert BlobDetector().detect(chest(False)) == BlobDetector().detect(chest(False))


def test_no_more_candidates_than_asked_for() -> None:
    assert len(BlobDetector(max_candidates=1).detect(chest(False)).candidates) == 1


@pytest.mark.parametrize("diameter", [7.5, 13.5])
def test_an_ideal_ball_answers_one_at_its_own_scale(diameter: float) -> None:
    position = grid_mm(np.eye(4), (41, 41, 41)) - 20.0
    # a soft edge of one voxel, as the share of a voxel that the ball fills
    share = np.clip(diameter / 2 - np.linalg.norm(position, axis=-1) + 0.5, 0, 1)
    low, high = HU_RANGE
    response, size = strongest_response(low + (high - low) * share, spacing_mm=1.0)
    assert np.unravel_index(response.argmax(), response.shape) == (20, 20, 20)
    assert response[20, 20, 20] == pytest.approx(1.0, abs=0.06)
    assert size[20, 20, 20] == diameter
    assert diameter in DIAMETERS_MM


def test_the_response_of_a_ball_equals_the_integral() -> None:
    # -σ²∇²G summed over a ball of radius √3 σ, by brute force on a fine grid
    sigma, step = 1.0, 0.05
    r = np.arange(step / 2, np.sqrt(3.0), step)
    gaussian = np.exp(-(r**2) / 2) / (2 * np.pi) ** 1.5
    laplacian = (r**2 / sigma**2 - 3) / sigma**2 * gaussian
    assert pytest.approx(-np.sum(4 * np.pi * r**2 * laplacian) * step, rel=5e-3) == BALL_RESPONSE


def test_constant_density_holds_no_blob() -> None:
    response, _ = strongest_response(np.full((9, 9, 9), -850.0), spacing_mm=1.25)
    assert np.abs(response).max() < 1e-3
