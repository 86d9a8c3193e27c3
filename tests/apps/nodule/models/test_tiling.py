"""Slabs own every voxel of the mask; marks that two of them give become one."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.models.tiling import padded_cut, slabs, suppress

HALO = (8, 4, 4)


def two_lungs(shape: tuple[int, int, int]) -> np.ndarray:
    d, h, w = np.ogrid[: shape[0], : shape[1], : shape[2]]
    mask = np.zeros(shape, dtype=bool)
    for middle in (0.27, 0.72):
        away = ((d / shape[0] - 0.5) / 0.48) ** 2 + ((h / shape[1] - 0.5) / 0.4) ** 2
        mask |= away + ((w / shape[2] - middle) / 0.2) ** 2 < 1
    return mask


def speckle(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Voxels anywhere, borders included: no shape is assumed."""
    return np.random.default_rng(seed).random(shape) < 0.002


MASKS = {
    "lungs": two_lungs((190, 60, 80)),
    "speckle": speckle((70, 40, 50), 1),
    "one voxel": np.pad(np.ones((1, 1, 1), bool), ((0, 9), (20, 0), (3, 5))),
    "whole": np.ones((50, 9, 11), bool),
    "narrow": np.ones((5, 4, 2), bool),
    "gap": np.repeat([True, False, True], [10, 150, 10])[:, None, None] & np.ones((1, 20, 20), bool),
}


@pytest.mark.parametrize("depth", [16, 160])
@pytest.mark.parametrize("name", MASKS)
def test_every_voxel_of_the_mask_is_owned_and_seen(name: str, depth: int) -> None:
    mask = MASKS[name]
    owners = np.zeros(mask.shape, dtype=int)
    tiles = list(slabs(mask, depth, HALO))
    assert tiles
    for tile in tiles:
        size = [s.stop - s.start for s in tile.box]
        assert all(n % 8 == 0 and n > 0 for n in size)
        assert (tile.high > tile.low).all()
        assert (tile.low >= 0).all()
        assert (tile.high <= mask.shape).all()
        seen_low, seen_high = (np.array([getattr(s, end) for s in tile.box]) for end in ("start", "stop"))
        assert (seen_low <= tile.low - HALO).all()
        assert (seen_high >= tile.high + HALO).all()
        owners[tuple(slice(a, b) for a, b in zip(tile.low, tile.high, strict=True))] += 1
    assert (owners[mask] == 1).all(), "no voxel is searched for nobody, or for two"


def test_an_empty_mask_has_no_slabs() -> None:
    assert list(slabs(np.zeros((20, 20, 20), bool), 8, HALO)) == []


def test_lungs_are_walked_side_by_side() -> None:
    """Two narrow boxes a slab instead of one wide one: that is where the arithmetic is saved."""
    tiles = list(slabs(MASKS["lungs"], 160, HALO))
    assert len(tiles) == 4
    assert {int(tile.low[0]) for tile in tiles} == {
        int(np.flatnonzero(MASKS["lungs"].any(axis=(1, 2)))[0]),
        164,
    }
    looked_at = sum(np.prod(tile.high - tile.low) for tile in tiles)
    assert looked_at < 0.8 * MASKS["lungs"].size


def test_a_cut_beyond_the_border_repeats_it() -> None:
    hu = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    cut = padded_cut(hu, (slice(-2, 4), slice(-1, 4), slice(1, 3)))
    assert cut.dtype == np.float32
    np.testing.assert_array_equal(cut, np.pad(hu, ((2, 2), (1, 1), (0, 0)), mode="edge")[:, :, 1:3])
    cut[:] = 0
    assert hu.sum() == 276, "the cut is a copy"


def test_a_cut_outside_altogether_is_its_border() -> None:
    hu = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    assert padded_cut(hu, (slice(5, 7), slice(0, 2), slice(-9, -7))).tolist() == [[[4, 4], [6, 6]]] * 2


def plain_suppress(centres: np.ndarray, diameters: np.ndarray, scores: np.ndarray) -> list[int]:
    """Best first; each removes what lies within the larger of both radii, or 2 mm."""
    left = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    kept: list[int] = []
    while left:
        best = left.pop(0)
        kept.append(best)
        far = []
        for i in left:
            gap = sum((centres[best][axis] - centres[i][axis]) ** 2 for axis in range(3)) ** 0.5
            if gap >= max(diameters[best] / 2, diameters[i] / 2, 2.0):
                far.append(i)
        left = far
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_suppress_equals_its_plain_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres, diameters = rng.uniform(0, 40, (120, 3)), rng.uniform(2, 15, 120)
    scores = np.round(rng.random(120), 1)  # many ties
    kept = suppress(centres, diameters, scores)
    assert kept.tolist() == plain_suppress(centres, diameters, scores)
    assert 3 < len(kept) < 100


def test_nothing_is_suppressed_to_nothing() -> None:
    assert suppress(np.zeros((0, 3)), np.zeros(0), np.zeros(0)).tolist() == []
