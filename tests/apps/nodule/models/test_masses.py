"""Masses beside nodules: found on the coarse grid, measured, one mark a lesion."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import Located, locate_lungs
from apps.nodule.data.volume import Volume
from apps.nodule.models.compact_detector import load_compact
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.masses import find_masses, merged, sized
from apps.nodule.models.segment import segment
from tests.apps.nodule.bodies import Ball, Body, small_scan

MASS = Ball((-60.0, 5.0, 10.0), 46.0)
BODY = Body((150.0, 105.0), (52.0, 75.0, 80.0), 66.0, (MASS,))


@pytest.fixture(scope="module")
def volume() -> Volume:
    return small_scan(BODY, spacing_mm=(2.5, 1.5, 1.5), room_mm=(320.0, 230.0, 180.0))


@pytest.fixture(scope="module")
def mass(volume: Volume) -> Finding:
    return segment(volume, Candidate(MASS.centre_mm, MASS.diameter_mm, 0.8))


def near(candidate: Candidate) -> float:
    return float(np.linalg.norm(np.subtract(candidate.centre_mm, MASS.centre_mm)))


def test_what_the_coarse_search_finds_is_measured_once(volume: Volume) -> None:
    """The network sees a third too little, and marks the same mass twice."""
    seen: list[tuple[Located, float]] = []

    def search(located: Located, least: float) -> list[Candidate]:
        seen.append((located, least))
        x, y, z = MASS.centre_mm
        return [
            Candidate((x + 2, y, z - 1), 30.0, 0.8),
            Candidate((x + 15, y, z), 24.0, 0.7),
            Candidate((60.0, 0.0, 0.0), 12.0, 0.65),
        ]

    located = locate_lungs(volume)
    (found,) = find_masses(search, located)
    assert found.candidate.diameter_mm == pytest.approx(46, rel=0.03)
    assert found.candidate.probability == 0.8
    assert seen == [(located, 0.6)]


def test_a_mass_takes_the_place_of_the_marks_at_its_rim(volume: Volume, mass: Finding) -> None:
    x, y, z = MASS.centre_mm
    rim = Candidate((x - 21.0, y, z), 9.0, 0.9)
    beyond = Candidate((x - 35.0, y, z), 8.0, 0.7)
    found = merged([rim, beyond], [mass], volume)
    assert [(c.centre_mm, c.probability) for c in found] == [(MASS.centre_mm, 0.9), (beyond.centre_mm, 0.7)]
    assert found[0].diameter_mm == MASS.diameter_mm


def test_a_large_nodule_has_the_diameter_of_its_outline(volume: Volume) -> None:
    """The networks' crop holds 40 mm; what lies where no outline is large keeps the estimate."""
    x, y, z = MASS.centre_mm
    under, small = Candidate(MASS.centre_mm, 36.0, 0.8), Candidate((x + 40.0, y, z), 16.0, 0.7)
    large, same = sized([under, small], volume)
    assert large.diameter_mm == pytest.approx(46, rel=0.03)
    assert (large.centre_mm, large.probability) == (under.centre_mm, under.probability)
    assert same == small


def test_a_nodules_mark_of_the_same_size_stays(volume: Volume, mass: Finding) -> None:
    x, y, z = MASS.centre_mm
    same = Candidate((x + 3.0, y, z), 38.0, 0.75)
    assert merged([same], [mass], volume) == [same]
    assert merged([], [], volume) == []


def test_the_embedded_networks_find_a_mass_and_its_measure(volume: Volume) -> None:
    detection = load_compact(ModelConfig(device="cpu"), None).detect(volume)
    hits = [c for c in detection.candidates if near(c) < MASS.diameter_mm / 2 and c.probability >= 0.6]
    assert len(hits) == 1, "one mark, none at its rim"
    assert near(hits[0]) < 5
    assert hits[0].diameter_mm == pytest.approx(46, rel=0.05)
