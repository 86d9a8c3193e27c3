from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.phantom import contours
from apps.nodule.data.phantom.contours import (
    RATINGS,
    NoduleShape,
    build_body,
    equivalent_diameter_mm,
    is_test_patient,
    load_shapes,
    random_turn,
    sample_alpha,
    split_of,
)

PACKAGE_FILE = Path(contours.__file__).with_name("contours.npz")
# Of the file that the command in apps/nodule/data/phantom/contours.NOTICE.txt makes (numpy 2.4, zlib of Python 3.11).
SHA256 = "27e987e720f0e7f69367cac3ea7709ee3c9384c5023c4bed10a27a9302a63089"


def ball(radius_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """A ball on a grid whose slices cross it off its middle."""
    half = [int(radius_mm / s) + 1 for s in spacing_mm]
    axes = [np.arange(-n, n + 1) * s for n, s in zip(half, spacing_mm, strict=True)]
    far = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    mask = far < radius_mm
    return mask[mask.any((1, 2))]


def centroid(alpha: np.ndarray) -> np.ndarray:
    index = np.indices(alpha.shape).reshape(3, -1)
    return index @ alpha.ravel() / alpha.sum()


def test_the_package_file_is_small_and_the_one_that_the_command_makes() -> None:
    content = PACKAGE_FILE.read_bytes()
    assert len(content) < 3_000_000
    assert hashlib.sha256(content).hexdigest() == SHA256
    assert "CC BY 3.0" in PACKAGE_FILE.with_suffix(".NOTICE.txt").read_text(encoding="utf-8")


def test_no_shape_of_a_test_patient_and_none_on_two_sides() -> None:
    patients = {split: {shape.patient for shape in load_shapes(split)} for split in ("train", "test")}
    assert len(load_shapes("train")) > 1300
    assert len(load_shapes("test")) > 900
    assert not [p for both in patients.values() for p in both if is_test_patient(p)]
    assert max(patients["train"]) < 530 <= min(patients["test"])
    assert is_test_patient(63)
    assert is_test_patient(900)
    assert not is_test_patient(899)
    assert (split_of(529), split_of(530)) == ("train", "test")


def test_shapes_carry_ratings_and_a_plausible_size() -> None:
    shapes = [load_shapes("test")[i] for i in range(0, 900, 100)]
    assert len(shapes) == 9
    for shape in shapes:
        assert tuple(shape.ratings) == RATINGS
        assert all(1 <= value <= 6 for value in shape.ratings.values())
        assert 3 <= shape.diameter_mm <= 35
        assert shape.mask_DHW.any((1, 2)).all()
        assert 0.4 < shape.spacing_mm[1] < 1.0


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="split is 'dev', wanted one of train, test"):
        load_shapes("dev")


def test_draw_keeps_to_the_diameter() -> None:
    rng = np.random.default_rng(0)
    drawn = [load_shapes("train").draw(rng, 8.0).diameter_mm for _ in range(40)]
    assert 8 / 1.31 < min(drawn) < max(drawn) < 8 * 1.31
    assert len(set(drawn)) > 20
    assert load_shapes("train").draw(rng, 200.0).diameter_mm > 25


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.7, 0.7), (3.0, 0.6, 0.6)])
def test_a_ball_stays_a_ball_through_thick_slices(spacing: tuple[float, float, float]) -> None:
    body = build_body(ball(8.0, spacing), spacing)
    assert body.diameter_mm == pytest.approx(16.0, rel=0.06)
    alpha = sample_alpha(body, (0.5, 0.5, 0.5), np.eye(3), body.diameter_mm)
    far = np.sqrt(((np.indices(alpha.shape).T - centroid(alpha)) ** 2).sum(-1)).T * 0.5
    truth = far < body.diameter_mm / 2
    dice = 2 * (truth & (alpha > 0.5)).sum() / (truth.sum() + (alpha > 0.5).sum())
    assert dice > 0.95
    area = alpha.sum((1, 2)) * 0.25
    # the ball's own area falls by 25 mm² in half a millimetre; a staircase of 2.5 mm slices jumps by 100 mm²
    assert np.abs(np.diff(area)).max() < 40


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (3.0, 0.7, 0.7)])
def test_resample_keeps_diameter_and_centre(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(1)
    library = load_shapes("train")
    for number in range(0, 1400, 140):
        offset = (0.3, -0.2, 0.4)
        alpha = library[number].resample(spacing, rng, diameter_mm=9.0, offset=offset)
        assert alpha.dtype == np.float32
        assert 0 <= alpha.min() <= alpha.max() <= 1
        assert all(n % 2 for n in alpha.shape)
        diameter = equivalent_diameter_mm(float(alpha.sum()) * float(np.prod(spacing)))
        assert diameter == pytest.approx(9.0, rel=0.04)
        middle = (np.array(alpha.shape) - 1) / 2 + offset
        assert np.abs(centroid(alpha) - middle).max() < 0.12
        faces = [alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1], alpha[:, :, 0], alpha[:, :, -1]]
        assert max(float(face.max()) for face in faces) < 0.35


def test_resample_repeats_with_its_seed_and_turns_without() -> None:
    shape = load_shapes("train")[700]
    first, again = (shape.resample((1, 1, 1), np.random.default_rng(5)) for _ in range(2))
    other = shape.resample((1, 1, 1), np.random.default_rng(6))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_turns_are_rotations_and_mirrorings() -> None:
    rng = np.random.default_rng(2)
    turns = [random_turn(rng) for _ in range(60)]
    assert all(np.allclose(t @ t.T, np.eye(3)) for t in turns)
    mirrored = sum(np.linalg.det(t) < 0 for t in turns)
    assert 15 < mirrored < 45


def test_one_thin_slice_becomes_a_closed_body() -> None:
    mask = np.ones((1, 6, 6), bool)
    shape = NoduleShape(0, 100, mask, (2.5, 0.7, 0.7), dict.fromkeys(RATINGS, 3))
    alpha = shape.resample((0.5, 0.5, 0.5), np.random.default_rng(0))
    assert alpha.max() == 1.0
    assert equivalent_diameter_mm(float(alpha.sum()) / 8) == pytest.approx(shape.diameter_mm, rel=0.05)
