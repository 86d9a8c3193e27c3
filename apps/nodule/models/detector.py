"""What every detector offers."""

from __future__ import annotations

from typing import Protocol

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Detection
from apps.nodule.reasons import Note, note

THICK_MM = 3.05  # the thickest slices of the data that sensitivity was measured on are 3 mm apart


class ModelInfo(Protocol):
    """What every result says of the detector that made it.

    name, version: as on the model card. threshold: working point, 0..1; candidates at or above it are findings.
    """

    @property
    def name(self) -> str:
        """Name of the network."""
        ...

    @property
    def version(self) -> str:
        """Version of its weights."""
        ...

    @property
    def threshold(self) -> float:
        """Working point, 0..1."""
        ...


class Detector(ModelInfo, Protocol):
    """Finds nodules in a volume; `load_detector` returns one.

    >>> from apps.nodule import load_detector
    >>> detector: Detector = load_detector(device="cpu")
    >>> detector.name, 0 < detector.threshold < 1
    ('compact', True)
    """

    def detect(self, volume: Volume) -> Detection:
        """Return candidates by falling probability, and what a reader should know of the search.

        volume: Hounsfield units with the lungs in view; positions returned are LPS mm.
        """
        ...


def search_limits(volume: Volume, largest_mm: float, most: int, left: int) -> list[Note]:
    """Return notes of what was not searched, or not reported.

    largest_mm: the largest lesion searched for. most: `model.max_candidates`, or the limit without it; left: how many
    candidates that may be findings it left out.
    """
    notes = [note("not_searched", largest=largest_mm)]
    step = float(volume.spacing_mm[0])
    if step > THICK_MM:
        notes.append(note("thick_slices", step=step, smallest=2 * step, limit=THICK_MM))
    if left:
        notes.append(note("candidate_limit", limit=most, left=left))
    return notes
