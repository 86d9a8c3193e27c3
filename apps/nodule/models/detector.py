"""What every detector offers."""

from __future__ import annotations

from typing import Protocol

import torch

from apps.nodule.data.reasons import note
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Detection
from core.errors import ConfigError

THICK_MM = 3.05  # the thickest slices of the data that sensitivity was measured on are 3 mm apart


class Detector(Protocol):
    """Finds nodules in a volume.

    name, version: written into every result. threshold: probability from which a candidate is a finding.
    """

    name: str
    version: str
    threshold: float

    def detect(self, volume: Volume) -> Detection:
        """Return candidates by falling probability, and what a reader should know of the search."""
        ...


def search_limits(volume: Volume, largest_mm: float, most: int, left: int) -> list[tuple[str, str]]:
    """Return (code, sentence) of what was not searched, or not reported.

    largest_mm: the largest lesion searched for. most: `model.max_candidates`, or the limit without it; left: how many
    places that may be findings it left out.
    """
    notes = [note("not_searched", largest=largest_mm)]
    step = float(volume.spacing_mm[0])
    if step > THICK_MM:
        notes.append(note("thick_slices", step=step, smallest=2 * step, limit=THICK_MM))
    if left:
        notes.append(note("candidate_limit", limit=most, left=left))
    return notes


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU where there is one. Raises ConfigError for a GPU that is not."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no_gpu", "model.device is cuda, but no GPU is available here; use auto or cpu")
    return torch.device(name)
