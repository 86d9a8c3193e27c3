"""Masses beside nodules: found on the coarse grid, measured, one mark a lesion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import Located, locate_lungs
from apps.nodule.data.volume import Volume
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import CompactDetector, load_compact
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
    (masses_found,) = find_masses(search, located)
    assert masses_found.candidate.diameter_mm == pytest.approx(46, rel=0.03)
    assert masses_found.candidate.probability == 0.8
    assert seen == [(located, 0.6)]


def test_a_mass_replaces_the_marks_at_its_rim(volume: Volume, mass: Finding) -> None:
    x, y, z = MASS.centre_mm
    rim = Candidate((x - 21.0, y, z), 9.0, 0.9)
    beyond = Candidate((x - 35.0, y, z), 8.0, 0.7)
    masses_found = merged([rim, beyond], [mass], volume)
    assert [(c.centre_mm, c.probability) for c in masses_found] == [
        (MASS.centre_mm, 0.9),
        (beyond.centre_mm, 0.7),
    ]
    assert masses_found[0].diameter_mm == MASS.diameter_mm


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


class MiddlePlace(nn.Module):
    """A proposal network that sees one position a slab, in the middle, of this diameter in voxels."""

    def __init__(self, diameter: float) -> None:
        super().__init__()
        self.diameter = diameter

    def forward(self, x: Tensor) -> Tensor:
        cells = [n // 4 for n in x.shape[2:]]
        answer = torch.zeros(1, 5, *cells)
        answer[:, 0] = -9.0
        answer[:, 0, cells[0] // 2, cells[1] // 2, cells[2] // 2] = 2.0
        answer[:, 4] = np.log(self.diameter)
        return answer


class Verdicts(nn.Module):
    """A judge whose verdict comes from a list, a logit a call: a middle four voxels higher, 20 voxels wide."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = list(logits)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[self.logits.pop(0), 1.0, 0.0, 0.0, np.log(20.0)]]).repeat(len(x), 1)


def searching(diameter: float, *logits: float) -> CompactDetector:
    """Return the detector whose networks see one position of this diameter in voxels, with these verdicts."""
    net = CompactNet()
    net.proposal, net.judge = MiddlePlace(diameter), Verdicts(*logits)  # type: ignore[assignment]
    return CompactDetector(net, "test", 0.5, ModelConfig(), torch.device("cpu"))


def test_a_wide_proposal_in_doubt_is_judged_on_a_coarser_grid(volume: Volume) -> None:
    """25 voxels of 3 mm: the verdict, the position and the size are those of the second cube, of 4.5 mm."""
    located = locate_lungs(volume)
    doubted, sure = (searching(25.0, *logits).search(located, 0.6) for logits in ((-1.0, 3.0), (3.0,)))
    assert len(doubted) == len(sure) > 0
    for one, other in zip(doubted, sure, strict=True):
        assert one.diameter_mm == pytest.approx(20 * 4.5)
        assert other.diameter_mm == pytest.approx(20 * 3.0)
        assert one.probability == pytest.approx(other.probability)
        moved = np.subtract(one.centre_mm, other.centre_mm) - (0.0, 0.0, 4 * (4.5 - 3.0))
        assert np.abs(moved).max() <= (4.5 + 3.0) / 2  # both cubes lie on whole voxels


@pytest.mark.parametrize(("diameter", "logit"), [(10.0, -1.0), (25.0, -3.0)])
def test_a_narrow_proposal_and_a_clear_no_are_judged_once(
    volume: Volume, diameter: float, logit: float
) -> None:
    assert searching(diameter, logit).search(locate_lungs(volume), 0.6) == []


def test_a_second_verdict_has_to_convince(volume: Volume) -> None:
    """Its probability would be .63, above the limit of a first verdict."""
    assert searching(25.0, -1.0, -0.2).search(locate_lungs(volume), 0.6) == []
