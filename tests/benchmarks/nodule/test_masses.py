"""Masses: where they lie and how large, what counts as found, and the numbers of groups."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.phantom.anatomy import Anatomy, make_chest
from apps.nodule.data.phantom.contours import NoduleShape
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate, Detection
from benchmarks.nodule import masses
from benchmarks.nodule.elsewhere import search_elsewhere
from benchmarks.nodule.masses import (
    Outcome,
    judge,
    make_mass,
    measure_masses,
    roundness,
    summary,
)
from tests.benchmarks.nodule.small import detector

MASS = Candidate((10.0, 20.0, 30.0), 40.0, 1.0)


def mark(x: float, probability: float, diameter: float = 30.0) -> Candidate:
    return Candidate((x, 20.0, 30.0), diameter, probability)


def test_the_most_probable_mark_within_the_radius_counts() -> None:
    result = judge(MASS, [mark(31, 0.9), mark(25, 0.95, 19.0), mark(13, 0.8), mark(10, 0.6)], 50.0, "pleural")
    assert result == Outcome(
        "pleural", 50.0, 40.0, 1, found=True, probability=0.8, away_mm=3.0, diameter_error=-0.25
    )
    assert judge(MASS, [mark(31, 0.9)], 50.0, "central") == Outcome("central", 50.0, 40.0, 1)


def test_groups_tell_medians_of_what_was_found() -> None:
    lost = Outcome("central", 30.0, 29.0, 0)
    hits = [judge(MASS, [mark(10 + x, 0.9)], 40.0, "central") for x in (1.0, 2.0, 6.0)]
    assert summary([lost, *hits]) == {"count": 4, "found": 3, "away_mm": 2.0, "diameter_error": -0.25}
    assert summary([lost]) == {"count": 1, "found": 0, "away_mm": None, "diameter_error": None}


def test_scattered_outlines_are_not_a_mass() -> None:
    axis = np.arange(21) - 10
    away = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    ball = NoduleShape(0, 600, away <= 8, (1.0, 1.0, 1.0), {})
    rod = NoduleShape(
        1, 600, (away <= 10) & (np.abs(axis)[:, None, None] < 2) & (np.abs(axis)[:, None] < 2), (1.0,) * 3, {}
    )
    assert roundness(ball) > 0.95
    assert roundness(rod) < masses.ROUND


@pytest.fixture(scope="module")
def chest() -> Anatomy:
    return make_chest(2, 4.0)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch, chest: Anatomy) -> None:
    """One coarse chest for every mass; that chests depend on their seed alone is proved where they are made."""
    monkeypatch.setattr(masses, "make_chest", lambda seed, spacing_mm: deepcopy(chest))
    monkeypatch.setattr(masses, "PROTOCOLS", ((5.0, 2.5, "soft", 1.0),))
    monkeypatch.setattr(masses, "ANATOMY_MM", 4.0)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("placement", masses.PLACEMENTS)
def test_the_centre_is_where_the_mass_lies(placement: str) -> None:
    phantom = make_mass(2, 60.0, placement)
    at = phantom.volume.to_index(np.array([phantom.mass.centre_mm]))[0].round().astype(int)
    around = tuple(slice(i - 1, i + 2) for i in at)
    assert np.median(phantom.volume.hu_DHW[around]) > -200
    assert 35 < phantom.mass.diameter_mm < 62
    again = make_mass(2, 60.0, placement)
    assert np.array_equal(phantom.volume.hu_DHW, again.volume.hu_DHW)


@pytest.mark.usefixtures("coarse")
def test_every_size_and_placement_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masses, "DIAMETERS_MM", (40.0,))
    monkeypatch.setattr(masses, "PLACEMENTS", ("pleural",))
    monkeypatch.setattr(masses, "generator_digest", lambda: "today's")
    monkeypatch.setattr(masses, "search_elsewhere", partial(search_elsewhere, each=1))
    beside = Detection([Candidate((0.0, 0.0, -999.0), 8.0, 0.9)])
    monkeypatch.setattr(CompactDetector, "detect", lambda self, volume: beside)
    result = measure_masses(detector(), tmp_path)
    assert result["count"] == len(result["masses"]) == 1
    assert result["found"] == 0
    assert result["headline"]["masses found"] == "0 of 1"
    assert result["headline"]["false marks a chest"] == "1.0"
    assert result["headline"]["findings in bodies without lungs"] == "4 in 4"
