"""Each kind of patch: what the label says is what the pixels show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from apps.nodule.data.training.patch import Patch
from apps.nodule.data.training.patches import SEAM, ZOOM, _at_wall, _block_weight, _paste, _resize, _turned
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.training.specimens import LUNA_DIAMETER
from tests.apps.nodule.data.training.materials import (
    AIRY,
    KNOWN,
    SHAPE,
    SOLID,
    TEMPTING,
    ball,
    maker,
    scene,
    specimen,
)

EDGE = 48
MIDDLE = (EDGE - 1) / 2
DRAWS = 24


def draws(source: str, **options: object) -> list[Patch]:
    patches = maker(source, **options)
    drawn = [patches.draw(np.random.default_rng([1, seed])) for seed in range(DRAWS)]
    for patch in drawn:
        assert patch.hu_DHW.shape == patch.valid_DHW.shape == (EDGE,) * 3
        assert patch.hu_DHW.dtype == np.float32
        assert len(patch.centres_N3) == len(patch.diameters_N)
    return drawn


def near_middle(patch: Patch, reach: float = 4.0 * ZOOM[1] + 1.5) -> np.ndarray:
    """Numbers of the nodules whose centre lies within the jitter of the middle."""
    return np.flatnonzero(np.abs(patch.centres_N3 - MIDDLE).max(axis=1) <= reach)


def brightness(patch: Patch, centre: np.ndarray, radius: float = 2.0) -> float:
    """Mean HU within a small ball."""
    inside = ball((EDGE,) * 3, centre, 2 * radius) > 0.5
    return float(patch.hu_DHW[inside].mean())


def measured(patch: Patch, centre: np.ndarray) -> tuple[np.ndarray, float]:
    """Centroid and diameter of what is bright around a position."""
    labels, _ = ndimage.label(ndimage.gaussian_filter(patch.hu_DHW, 0.7) > (AIRY + SOLID) / 2)
    at = labels[tuple(np.rint(centre).astype(int))]
    assert at > 0, "nothing bright lies at the label"
    inside = labels == at
    return np.argwhere(inside).mean(axis=0), float(np.cbrt(6 / np.pi * inside.sum()))


@pytest.mark.parametrize(("source", "diameter"), [("specimen", 10.0), ("cube", 10.0), ("known", 12.0)])
def test_the_label_lies_on_the_nodule_and_has_its_size(source: str, diameter: float) -> None:
    sizes = set()
    for patch in draws(source, scenes=[scene(known=KNOWN if source == "known" else None)]):
        assert len(patch.centres_N3) == 1
        assert len(near_middle(patch)) == 1
        centre, size = measured(patch, patch.centres_N3[0])
        assert np.linalg.norm(centre - patch.centres_N3[0]) < 1.3
        assert size == pytest.approx(patch.diameters_N[0], rel=0.17)
        sizes.add(round(float(patch.diameters_N[0]), 3))
    # some are zoomed, and their label is zoomed with them: a finer patch shows a larger nodule
    assert diameter in sizes
    assert len(sizes) > 3
    assert diameter / ZOOM[1] * 0.95 < min(sizes) < diameter < max(sizes) < diameter / ZOOM[0] * 1.05


def test_a_synthetic_nodule_is_brighter_than_its_lung() -> None:
    contrasts = []
    for patch in draws("synthetic"):
        assert len(patch.centres_N3) == 1
        (drawn,) = near_middle(patch)
        centre, diameter = patch.centres_N3[drawn], patch.diameters_N[drawn]
        assert 0.8 * 4 * LUNA_DIAMETER / ZOOM[1] < diameter < 25 / ZOOM[0]
        contrasts.append(brightness(patch, centre, 0.35 * diameter) - np.median(patch.hu_DHW))
    assert min(contrasts) > 30
    assert np.median(contrasts) > 300  # most are solid


def test_beyond_a_cube_nothing_is_known() -> None:
    shares = []
    for patch in draws("cube", cubes=[specimen(edge=31)]):
        assert patch.valid_DHW[tuple(np.rint(patch.centres_N3[0]).astype(int))]
        shares.append(patch.valid_DHW.mean())
    assert max(shares) < (33 / EDGE / ZOOM[0]) ** 3
    assert min(shares) > (29 / EDGE / ZOOM[1]) ** 3


def test_a_false_positive_is_shown_and_carries_no_label() -> None:
    patches = draws("tempting", scenes=[scene(known=KNOWN, tempting=TEMPTING)])
    for patch in patches:
        assert len(near_middle(patch)) == 0
        box = tuple(slice(int(MIDDLE) - 6, int(MIDDLE) + 8) for _ in range(3))
        labels, count = ndimage.label(ndimage.gaussian_filter(patch.hu_DHW[box], 1) > -500)
        assert count >= 1
        assert (labels > 0).sum() > 60
    # the lung's known nodule is 40 mm beside it and keeps its label, in the patch or outside
    assert all(len(patch.centres_N3) == 1 for patch in patches)


def test_dense_positions_and_decoys_carry_no_label() -> None:
    patches = draws("dense", scenes=[scene(), scene()], specimens=[specimen(around=-200)])
    assert all(len(patch.centres_N3) == 0 for patch in patches)
    assert all((patch.hu_DHW > -400).sum() > 100 for patch in patches)
    assert any(not patch.valid_DHW.all() for patch in patches)  # the vessel runs near the border of the lung


def test_a_known_nodule_keeps_its_label_beside_an_inserted_one() -> None:
    patches = draws("specimen", scenes=[scene(known=KNOWN)])
    assert {len(patch.centres_N3) for patch in patches} == {2}
    both = [p for p in patches if ((p.centres_N3 > 6) & (p.centres_N3 < EDGE - 7)).all()]
    assert len(both) > 3
    for patch in both:
        assert all(brightness(patch, centre) > -400 for centre in patch.centres_N3)


@pytest.mark.parametrize(
    ("source", "lacking", "given"),
    [
        ("specimen", {"specimens": []}, "synthetic"),
        ("cube", {"cubes": []}, "specimen"),
        ("cube", {"cubes": [], "specimens": []}, "synthetic"),
        ("tempting", {}, "dense"),
        ("known", {}, "specimen"),
        ("known", {"specimens": []}, "synthetic"),
        ("specimen", {"scenes": [scene(known=KNOWN, accepts=False)]}, "known"),
        ("synthetic", {"scenes": [scene(known=KNOWN, accepts=False)]}, "known"),
        ("specimen", {"scenes": [scene(accepts=False)]}, "dense"),
        ("known", {"scenes": [scene(accepts=False)]}, "dense"),
    ],
)
def test_what_the_material_lacks_is_made_up_for(source: str, lacking: dict, given: str) -> None:
    for seed in range(3):
        drawn = maker(source, **lacking).draw(np.random.default_rng(seed))
        wanted = maker(given, **lacking).draw(np.random.default_rng(seed))
        assert drawn.hu_DHW.tobytes() == wanted.hu_DHW.tobytes()
        assert np.array_equal(drawn.centres_N3, wanted.centres_N3)


def test_the_same_generator_gives_the_same_patch() -> None:
    source = maker()
    source.shares = {"specimen": 0.3, "synthetic": 0.3, "cube": 0.2, "dense": 0.2}
    for seed in range(6):
        first, again = (source.draw(np.random.default_rng(seed)) for _ in range(2))
        assert first.hu_DHW.tobytes() == again.hu_DHW.tobytes()
        assert np.array_equal(first.centres_N3, again.centres_N3)
        assert np.array_equal(first.diameters_N, again.diameters_N)


def test_kinds_come_as_often_as_asked() -> None:
    source = maker(edge=16, jitter=0.0, specimens=[specimen(4.0, edge=9)])
    source.shares = {"specimen": 3.0, "dense": 1.0}
    labelled = sum(len(source.draw(np.random.default_rng(seed)).centres_N3) for seed in range(200))
    assert labelled == pytest.approx(150, abs=20)


@given(st.integers(0, 10_000))
def test_a_mirrored_specimen_keeps_its_centre_on_its_outline(seed: int) -> None:
    before = specimen()
    after = _turned(before, np.random.default_rng(seed))
    assert np.allclose(np.argwhere(after.outline_DHW).mean(axis=0), after.centre)
    assert np.array_equal(np.sort(after.hu_DHW, axis=None), np.sort(before.hu_DHW, axis=None))
    assert after.hu_DHW[tuple(np.rint(after.centre).astype(int))] == SOLID


def test_a_block_fades_over_its_seam_and_counts_fully_within() -> None:
    weight = _block_weight((25, 20, 15))
    assert weight.shape == (25, 20, 15)
    assert (weight[SEAM - 1 : 1 - SEAM, SEAM - 1 : 1 - SEAM, SEAM - 1 : 1 - SEAM] == 1).all()
    for axis in range(3):
        face = np.take(weight, 0, axis)
        assert face.max() == pytest.approx(1 / SEAM)
        assert np.array_equal(np.flip(weight, axis), weight)
    assert _block_weight((2, 20, 20)).max() == 1  # a thin one keeps its middle
    assert _block_weight((1, 20, 20)).max() == 1


@settings(max_examples=40)
@given(st.tuples(*[st.floats(-4, 44)] * 3), st.integers(0, 999))
def test_pasting_changes_only_what_the_weight_covers(point: tuple[float, float, float], seed: int) -> None:
    piece = specimen()
    lung = Patch(
        np.full((40,) * 3, AIRY, np.float32), np.zeros((0, 3)), np.zeros(0), np.ones((40,) * 3, bool)
    )
    patch = _paste(lung, piece, piece.alpha_DHW, np.array(point), np.random.default_rng(seed))
    assert (lung.hu_DHW == AIRY).all()
    assert np.abs(patch.centres_N3[0] - point).max() <= 0.5 + 1e-9
    changed = np.argwhere(patch.hu_DHW != AIRY)
    if len(changed):
        # alpha ends three mm outside the outline
        assert np.linalg.norm(changed - patch.centres_N3[0], axis=1).max() <= piece.diameter_mm / 2 + 4.5
        assert patch.hu_DHW.max() <= SOLID


def test_denser_voxels_stay_half_of_the_time() -> None:
    piece = specimen(around=-900)
    bright = np.full((40,) * 3, AIRY, np.float32)
    bright[:, 28:, :] = 700.0  # a rib beside the nodule, within its soft border
    lung = Patch(bright, np.zeros((0, 3)), np.zeros(0), np.ones((40,) * 3, bool))
    weight = np.ones_like(piece.alpha_DHW)
    kept = []
    for seed in range(40):
        patch = _paste(lung, piece, weight, np.array([20.0, 20.0, 20.0]), np.random.default_rng(seed))
        kept.append(bool((patch.hu_DHW[:, 28:, :] == 700.0).all()))
    assert 10 < sum(kept) < 30


@pytest.mark.parametrize("old", [41, 48, 57])
def test_resizing_is_plain_interpolation(old: int) -> None:
    rng = np.random.default_rng(0)
    before = Patch(
        rng.normal(size=(old,) * 3).astype(np.float32),
        rng.uniform(0, old, (4, 3)),
        np.array([3.0, 5.0, 8.0, 13.0]),
        rng.random((old,) * 3) < 0.5,
    )
    after = _resize(before, EDGE)
    factor = EDGE / old
    at = np.stack(np.meshgrid(*[(np.arange(EDGE) + 0.5) / factor - 0.5] * 3, indexing="ij"))
    twin = ndimage.map_coordinates(before.hu_DHW, at, order=1, mode="nearest")
    assert after.hu_DHW.shape == (EDGE,) * 3
    assert np.allclose(after.hu_DHW, twin, atol=1e-5)
    assert np.allclose(after.diameters_N, before.diameters_N * factor)
    # a position keeps its distance from the patch's outer faces, which lie half a voxel outside
    assert np.allclose((after.centres_N3 + 0.5) / EDGE, (before.centres_N3 + 0.5) / old)
    nearest = np.clip(np.rint(at), 0, old - 1).astype(int)
    assert np.array_equal(after.valid_DHW, before.valid_DHW[tuple(nearest)])


def test_the_material_is_what_these_tests_count_on() -> None:
    assert scene().hu_DHW.shape == SHAPE
    assert scene().hu_DHW[tuple(np.array(KNOWN).astype(int))] == AIRY
    assert scene(known=KNOWN).hu_DHW[tuple(np.array(KNOWN).astype(int))] == SOLID
    assert (scene(known=KNOWN).hu_DHW > -400).sum() - (scene().hu_DHW > -400).sum() == pytest.approx(
        np.pi / 6 * 12**3, rel=0.05
    )


def test_at_the_wall_means_denser_surroundings() -> None:
    hu = np.full((40, 40, 40), -850, dtype=np.int16)
    hu[:, :, 30:] = 40  # the chest wall
    airy = np.argwhere(hu[:, :, :28] < -650)
    scene = Scene(hu, np.zeros((0, 3)), np.zeros(0), airy, np.argwhere(hu > -500), accepts=True)
    rng = np.random.default_rng(0)
    columns = [_at_wall(scene, rng)[2] for _ in range(50)]
    assert np.mean(columns) > 23 > np.mean(airy[:, 2]) + 8
