"""Masses: the networks for nodules run again on a grid three times coarser, where a mass is as large as a nodule.

The lungs are closed over whatever is up to 10 cm wide, since a mass at a wall lies outside the air around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from apps.nodule.data.lung_box import Located
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.segment import measured, segment

CLOSING_MM = 50.0
SMALLEST_MM = 20.0  # what measures less on the coarse grid is left to the fine one
LARGEST_MM = (
    70.0  # about half of larger ones are missed: on the coarse grid too they exceed what was trained on
)
DOUBTFUL_MM = 15.0  # from this estimate on a nodule's outline is measured: the networks' crop holds 40 mm
LEAST_PROBABILITY = 0.6
RIM_MM = 3.0  # a mark this near to a mass is of the mass
SAME_SIZE = 0.7  # of the mass: a nodule's mark of at least this diameter in the mass is the better one


def find_masses(search: Callable[[Located, float], list[Candidate]], located: Located) -> list[Finding]:
    """Return masses by falling probability, measured on the volume's own grid.

    search: returns the candidates on a coarse grid from a probability on, by falling probability.
    """
    candidates = search(located, LEAST_PROBABILITY)
    masses: list[Finding] = []
    for candidate in candidates:
        outlined = segment(located.volume, candidate) if candidate.diameter_mm >= SMALLEST_MM else None
        if outlined is None or any(_holds(located.volume, mass, candidate) for mass in masses):
            continue
        mass = measured(outlined)
        if mass.diameter_mm >= SMALLEST_MM:
            masses.append(replace(outlined, candidate=mass))
    return masses


def merged(nodules: Sequence[Candidate], masses: Sequence[Finding], volume: Volume) -> list[Candidate]:
    """Return both kinds by falling probability, one mark for each lesion.

    A mass replaces the marks in it, and the best of their probabilities; a nodule's mark that measures about
    as much as the mass stays instead of it.
    """
    left = list(nodules)
    large: list[Candidate] = []
    for mass in masses:
        inside = [c for c in left if _holds(volume, mass, c)]
        size = SAME_SIZE * mass.candidate.diameter_mm
        if any(c.diameter_mm >= size and c.probability >= LEAST_PROBABILITY for c in inside):
            continue
        left = [c for c in left if c not in inside]
        best = max([mass.candidate.probability, *(c.probability for c in inside)])
        large.append(replace(mass.candidate, probability=best))
    return sorted([*large, *left], key=lambda c: -c.probability)


def sized(nodules: Sequence[Candidate], volume: Volume) -> list[Candidate]:
    """Return the candidates; a large one with the diameter of its outline, beside which the estimate is too small."""
    return [_sized(c, volume) if c.diameter_mm >= DOUBTFUL_MM else c for c in nodules]


def _sized(nodule: Candidate, volume: Volume) -> Candidate:
    outlined = measured(segment(volume, nodule))
    return outlined if outlined.diameter_mm >= SMALLEST_MM else nodule


def _holds(volume: Volume, mass: Finding, candidate: Candidate) -> bool:
    """Whether a candidate's centre lies in a mass or at its rim."""
    voxels = np.argwhere(mass.mask_DHW) + mass.corner_DHW
    away = np.linalg.norm(volume.to_world(voxels) - candidate.centre_mm, axis=1)
    return float(away.min()) <= RIM_MM
