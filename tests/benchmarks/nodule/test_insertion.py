"""Nodules set into a lung: where they may go, and what of them arrives."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nodule.insertion import APART_MM, FROM_KNOWN_MM, Known, Placed, Sites, batches, insert
from tests.benchmarks.nodule.small import LUNG_HU, NODULE_HU, lung, specimen


def test_batches_hold_each_specimen_once() -> None:
    specimens = [specimen(f"LIDC-IDRI-{i:04d}_R_1") for i in range(20)]
    groups = list(batches(specimens, 9, seed=3))
    assert [len(batch) for batch in groups] == [9, 9, 2]
    assert sorted(s.key for batch in groups for s in batch) == sorted(s.key for s in specimens)
    assert [s.key for s in groups[0]] != [s.key for s in specimens[:9]]


def test_places_are_deep_in_the_lung_apart_and_away_from_the_tumour() -> None:
    box = lung()
    tumour = Known((20.0, 20.0, 20.0), 10.0)
    placed = Sites(box, [tumour]).draw([specimen(radius=r) for r in (3, 6, 4)], (0, 1))
    assert len(placed) == 3
    positions = np.array([p.voxel for p in placed])
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(positions) for b in positions[:i]]
    assert min(gaps) >= APART_MM
    assert np.linalg.norm(positions - np.array(tumour.centre), axis=1).min() > 5 + FROM_KNOWN_MM
    for p in placed:
        assert min(*p.voxel, *(95 - v for v in p.voxel)) >= 4 + p.specimen.diameter_mm / 2 + 3


def test_vessels_and_airways_are_not_positions() -> None:
    box = lung(64)
    box.grid.hu_DHW[:, :, :40] = 40.0
    box.grid.hu_DHW[:, :, 40:50] = -1000.0
    positions = Sites(box).places_M3
    assert len(positions) > 100
    assert positions[:, 2].min() == 50


def test_the_same_seed_gives_the_same_positions() -> None:
    sites = Sites(lung())
    first, again, other = (
        [p.voxel for p in sites.draw([specimen(), specimen()], seed)] for seed in ((0, 1), (0, 1), (0, 2))
    )
    assert first == again
    assert first != other


def test_a_lung_without_space_is_an_error() -> None:
    with pytest.raises(ValueError, match="no position 8 mm deep and 40 mm from 1 others"):
        Sites(lung(48)).draw([specimen(), specimen()], (0, 0))


def test_the_nodule_arrives_and_its_surroundings_do_not() -> None:
    hu = lung(64).grid.hu_DHW
    hu[:, :, 37:39] = 60.0  # a vessel at the rim of the nodule
    before = hu.copy()
    centre = insert(hu, Placed(specimen(), (30, 31, 32)))
    assert centre == (30.0, 31.0, 32.0)
    assert np.all(hu[30, 31, 29:36] == NODULE_HU)
    assert np.array_equal(hu[:, :, 37:39], before[:, :, 37:39]), "what is denser stays"
    assert hu[30, 31, 22] == LUNG_HU, "beyond the rim nothing changes"
    assert np.all(hu >= before), "the rim never thins the lung"
    assert np.all(np.delete(hu, slice(20, 41), axis=0) == np.delete(before, slice(20, 41), axis=0))


def test_a_specimen_larger_than_the_lung_is_cut() -> None:
    hu = np.full((16, 16, 16), LUNG_HU, dtype=np.float32)
    centre = insert(hu, Placed(specimen(), (2, 8, 14)))
    assert centre == (2.0, 8.0, 14.0)
    assert hu[2, 8, 14] == NODULE_HU
    assert hu[0, 8, 14] == NODULE_HU
